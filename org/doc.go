// Package org describes an AWS organization, its people and its policies as plain values.
package org
