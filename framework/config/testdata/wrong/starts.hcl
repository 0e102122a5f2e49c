storage "dead" {
  program = "./dead"
  fsync   = "always"
}
