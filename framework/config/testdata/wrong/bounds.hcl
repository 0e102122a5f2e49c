storage "tsv" {
  workers       = 1e999
  log_retention = -1
  loud          = null
}
transport "http" {
  max_connections = -5
}
