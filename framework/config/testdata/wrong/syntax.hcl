data = "./data
storage "tsv" {
  fsync = "always"
