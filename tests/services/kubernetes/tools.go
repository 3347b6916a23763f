//go:build tools

// Package tools names the programs that this module builds, so that go.sum has what they need.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
