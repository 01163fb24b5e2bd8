// Postoffice
