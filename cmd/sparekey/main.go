// Command sparekey is the program.
package main

func main() {}
