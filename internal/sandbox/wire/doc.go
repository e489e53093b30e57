// Package wire reads requests and writes answers and errors as AWS's protocols and service models say.
//
// A service's model names the shape of every member: lengths, ranges, patterns, enumerations. [Shapes] holds those of one
// service, [Shapes.Decode] fills a struct from a request and names every constraint that the request breaks, in the words of
// AWS's front end. [Protocol] writes answers. [Page] cuts lists into pages behind tokens that nobody can make up.
package wire
