// Package api serves and calls the JSON API.
//
// The types and operations here are the API: its OpenAPI 3.1 document is made from them, served at /openapi.json, and kept in
// openapi.json beside this file, from which package client is generated. Everything goes through the broker; this package
// knows who is asking, how large a request may be, and how an error becomes a problem document (RFC 9457).
//
// What is refused here, before a command is reached, is recorded too: what a known person sent that could not be understood,
// and, counted by the minute, what came without proof of who sent it.
package api
