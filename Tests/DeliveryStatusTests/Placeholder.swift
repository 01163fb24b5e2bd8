// DeliveryStatusTests
