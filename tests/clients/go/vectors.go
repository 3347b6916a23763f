package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

type vectors struct {
	Inclusion []struct {
		Desc     string   `json:"desc"`
		Index    uint64   `json:"leafIdx"`
		Size     uint64   `json:"treeSize"`
		Root     []byte   `json:"root"`
		LeafHash []byte   `json:"leafHash"`
		Proof    [][]byte `json:"proof"`
		WantErr  bool     `json:"wantErr"`
	} `json:"inclusion"`
	Consistency []struct {
		Desc    string   `json:"desc"`
		Size1   uint64   `json:"size1"`
		Size2   uint64   `json:"size2"`
		Root1   []byte   `json:"root1"`
		Root2   []byte   `json:"root2"`
		Proof   [][]byte `json:"proof"`
		WantErr bool     `json:"wantErr"`
	} `json:"consistency"`
}

// checkVectors judges every case with the verifier of transparency-dev/merkle.
func checkVectors(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var cases vectors
	if err := json.Unmarshal(text, &cases); err != nil {
		return err
	}
	for _, c := range cases.Inclusion {
		err := proof.VerifyInclusion(rfc6962.DefaultHasher, c.Index, c.Size, c.LeafHash, c.Proof, c.Root)
		if (err != nil) != c.WantErr {
			return fmt.Errorf("inclusion of %d in %d, %s: %v", c.Index, c.Size, c.Desc, err)
		}
	}
	for _, c := range cases.Consistency {
		err := proof.VerifyConsistency(rfc6962.DefaultHasher, c.Size1, c.Size2, c.Proof, c.Root1, c.Root2)
		if (err != nil) != c.WantErr {
			return fmt.Errorf("consistency from %d to %d, %s: %v", c.Size1, c.Size2, c.Desc, err)
		}
	}
	fmt.Println(len(cases.Inclusion)+len(cases.Consistency), "cases")
	return nil
}
