// Checks a live ledger with transparency-log libraries that know nothing of it: the checkpoint with
// transparency-dev/formats, tiles and proofs with golang.org/x/mod/sumdb/tlog, and once more with Tessera's client.
// Prints what they found as JSON; exits with 1 at the first thing that does not hold.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type proven struct {
	// Index of a leaf, or an old size.
	At    int64    `json:"at"`
	Root  string   `json:"root"`
	Proof []string `json:"proof"`
}

type report struct {
	Origin      string   `json:"origin"`
	Size        int64    `json:"size"`
	Root        string   `json:"root"`
	Inclusion   []proven `json:"inclusion"`
	Consistency []proven `json:"consistency"`
}

func main() {
	url := flag.String("url", "", "where /checkpoint and /tile/ are")
	key := flag.String("key", "", "the log's verifier key")
	leaves := flag.String("leaves", "", "indices whose inclusion is proven, separated by commas")
	sizes := flag.String("sizes", "", "old sizes whose consistency is proven, separated by commas")
	vectors := flag.String("vectors", "", "judge the proofs in this file instead, with transparency-dev/merkle")
	flag.Parse()
	if *vectors != "" {
		if err := checkVectors(*vectors); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	found, err := check(*url, *key, numbers(*leaves), numbers(*sizes))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func numbers(list string) []int64 {
	var found []int64
	for _, text := range strings.Split(list, ",") {
		var number int64
		if _, err := fmt.Sscan(text, &number); err == nil {
			found = append(found, number)
		}
	}
	return found
}

func check(url, key string, leaves, sizes []int64) (*report, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	text, err := fetch(url + "/checkpoint")
	if err != nil {
		return nil, err
	}
	checkpoint, _, _, err := log.ParseCheckpoint(text, verifier.Name(), verifier)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	tree := tlog.Tree{N: int64(checkpoint.Size)}
	copy(tree.Hash[:], checkpoint.Hash)
	found := &report{Origin: checkpoint.Origin, Size: tree.N, Root: hex.EncodeToString(checkpoint.Hash)}
	hashes := tlog.TileHashReader(tree, &tiles{url})
	builder, err := tessera(url, checkpoint.Size)
	if err != nil {
		return nil, err
	}
	for _, index := range leaves {
		path, err := include(url, tree, hashes, index)
		if err != nil {
			return nil, fmt.Errorf("inclusion of %d: %w", index, err)
		}
		again, err := builder.InclusionProof(context.Background(), uint64(index))
		if err != nil || !equal(path, again) {
			return nil, fmt.Errorf("Tessera's inclusion proof of %d differs: %w", index, err)
		}
		found.Inclusion = append(found.Inclusion, proven{At: index, Root: found.Root, Proof: path})
	}
	for _, size := range sizes {
		root, err := tlog.TreeHash(size, hashes)
		if err != nil {
			return nil, err
		}
		path, err := tlog.ProveTree(tree.N, size, hashes)
		if err == nil {
			err = tlog.CheckTree(path, tree.N, tree.Hash, size, root)
		}
		if err != nil {
			return nil, fmt.Errorf("consistency with %d: %w", size, err)
		}
		again, err := builder.ConsistencyProof(context.Background(), uint64(size), checkpoint.Size)
		if err != nil || !equal(text16(path), again) {
			return nil, fmt.Errorf("Tessera's consistency proof from %d differs: %w", size, err)
		}
		found.Consistency = append(found.Consistency, proven{At: size, Root: hex.EncodeToString(root[:]), Proof: text16(path)})
	}
	return found, nil
}

// include proves a leaf that is hashed here, from the entry that the log serves.
func include(url string, tree tlog.Tree, hashes tlog.HashReader, index int64) ([]string, error) {
	entry, err := entry(url, tree.N, index)
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveRecord(tree.N, index, hashes)
	if err != nil {
		return nil, err
	}
	return text16(path), tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(entry))
}

func tessera(root string, size uint64) (*client.ProofBuilder, error) {
	parsed, err := url.Parse(root)
	if err != nil {
		return nil, err
	}
	fetcher, err := client.NewHTTPFetcher(parsed, nil)
	if err != nil {
		return nil, err
	}
	return client.NewProofBuilder(context.Background(), size, fetcher.ReadTile)
}

func entry(root string, size, index int64) ([]byte, error) {
	parsed, err := url.Parse(root)
	if err != nil {
		return nil, err
	}
	fetcher, err := client.NewHTTPFetcher(parsed, nil)
	if err != nil {
		return nil, err
	}
	bundle, err := client.GetEntryBundle(context.Background(), fetcher.ReadEntryBundle, uint64(index/256), uint64(size))
	if err != nil {
		return nil, err
	}
	if at := int(index % 256); at < len(bundle.Entries) {
		return bundle.Entries[at], nil
	}
	return nil, fmt.Errorf("entry %d is not in its bundle", index)
}

func text16[H ~[32]byte](hashes []H) []string {
	found := []string{}
	for _, hash := range hashes {
		found = append(found, hex.EncodeToString(hash[:]))
	}
	return found
}

func equal(path []string, again [][]byte) bool {
	if len(path) != len(again) {
		return false
	}
	for i := range path {
		if path[i] != hex.EncodeToString(again[i]) {
			return false
		}
	}
	return true
}

// tiles reads tiles of height 8: x/mod's names carry the height, those of tlog-tiles do not.
type tiles struct{ url string }

func (t *tiles) Height() int { return 8 }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range wanted {
		bytes, err := fetch(t.url + "/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func fetch(url string) ([]byte, error) {
	answer, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, 1<<20))
}
