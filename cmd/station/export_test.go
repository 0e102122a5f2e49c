package main

// RootCommand gives the commands to the tests of the whole program.
var RootCommand = rootCommand
