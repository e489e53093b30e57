// Command sparekey is the program.
package main

import (
	"os"

	"sparekey/internal/cli"
)

func main() { os.Exit(cli.Main()) }
