// Package awsconn opens AWS clients: endpoints, Regions, nothing from the environment.
//
// The SDK lets AWS_ENDPOINT_URL, AWS_PROFILE, shared files, proxies and CA bundles steer where a program's calls go and as
// whom. What acts with a server's credentials must not be steered like that, so nothing of it is loaded here: everything is
// said in [Settings]. The package does not know what the clients are used for.
package awsconn
