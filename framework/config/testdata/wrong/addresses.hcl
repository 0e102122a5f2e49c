transport "http" { listen = "0.0.0.0:80" }
transport "http" { }
transport "http" { }
transport "http" { listen = "127.0.0.1:0" }
transport "http" { listen = "127.0.0.1:0" }
transport "http" { listen = "unix:" }
transport "told" {
  program = "./told"
}
transport "told" {
  program = "./told"
  listen  = "unix:/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/a/very/long/path/to/a/socket"
}
