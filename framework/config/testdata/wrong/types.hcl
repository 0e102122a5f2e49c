station_id = 7
data       = ["a"]
scripts    = ""
env        = "A"
storage "tsv" {
  fsync         = "sometimes"
  log_retention = 5
  workers       = 1.5
  loud          = "true"
  names         = ["a", 2, null]
}
transport "http" {
  max_connections = 0
}
