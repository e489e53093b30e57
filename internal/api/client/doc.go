// Package client calls the JSON API; it is generated from its OpenAPI document.
package client
