// DeliveryStatus
