//! Tiles, bundles and proofs of a live node, read by transparency-log clients that know nothing of this ledger.

use std::path::{Path, PathBuf};

use promotion_ledger::{
    event::{
        Digest, Header,
        proto::{GetConsistencyProofRequest, GetInclusionProofRequest},
    },
    ledger::{store::Store, writer},
    proof::{
        checkpoint,
        tile::{Content, Tile, parse_bundle},
        tree,
    },
};
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{
    TileHashReader, TileReader,
    tlog::{self, HashReader},
};
use tonic::Code;

use crate::harness::{Client, Directory, LogUnderTest, Node, clients, run};

/// Entries of the ledger that these tests read: three levels of tiles, the last of each level partial.
const SIZE: u64 = 65_536 + 256 + 44;

/// A node's directory with this many entries, most of them junk: leaves are leaves.
pub fn filled(size: u64) -> Directory {
    let dir = Directory::init(&LogUnderTest::Embedded);
    let store = Store::open(&dir.path().join("ledger")).expect("the ledger");
    let mut state = store.state().expect("a state");
    let pinned = state.as_ref().expect("genesis").ledger_id;
    let mut seq = 1;
    while seq < size {
        let values = (seq..size.min(seq + 1024)).map(|seq| (seq, format!("junk {seq}").into_bytes()));
        seq += writer::apply(&store, &pinned, &mut state, values).expect("written").entries.len() as u64;
    }
    drop(store);
    dir
}

async fn get(url: &str) -> reqwest::Response {
    reqwest::get(url).await.expect("an answer")
}

async fn bytes(url: &str) -> Vec<u8> {
    let answer = get(url).await;
    assert_eq!(answer.status(), 200, "{url}");
    answer.bytes().await.expect("a body").to_vec()
}

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_are_served_as_the_specification_asks() {
    let dir = filled(300);
    let node = Node::serve(&dir.path());
    let answer = get(&format!("{}/checkpoint", node.http)).await;
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(header(&answer, "cache-control"), "no-cache");
    for path in ["0/000", "0/001.p/44", "0/001.p/1", "1/000.p/1", "entries/000", "entries/001.p/44"] {
        let answer = get(&format!("{}/tile/{path}", node.http)).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(header(&answer, "content-type"), "application/octet-stream");
        assert!(header(&answer, "cache-control").contains("immutable"), "{path}");
    }
    for (path, status) in [
        ("0/001", 404),
        ("0/001.p/45", 404),
        ("1/000", 404),
        ("2/000.p/1", 404),
        ("63/000.p/1", 404),
        ("entries/002.p/1", 404),
        ("0/0", 400),
        ("0/000.p/256", 400),
        ("64/000", 400),
        ("records/000", 400),
        ("0/x18446744073709551615/000", 400),
    ] {
        let answer = get(&format!("{}/tile/{path}", node.http)).await;
        assert_eq!((path, answer.status().as_u16()), (path, status));
        assert_eq!(header(&answer, "cache-control"), "no-store", "what is not there yet must not be cached");
    }
    // Compressed only for who asks; then the same bytes.
    let url = format!("{}/tile/entries/000", node.http);
    let plain = bytes(&url).await;
    let asked =
        reqwest::Client::new().get(&url).header("accept-encoding", "gzip").send().await.expect("an answer");
    assert_eq!((header(&asked, "content-encoding"), header(&asked, "vary")), ("gzip", "accept-encoding"));
    let packed = asked.bytes().await.expect("a body");
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).expect("gzip");
    assert_eq!(unpacked, plain);
    assert!(packed.len() < plain.len());
    let headers = parse_bundle(&plain, 0).expect("a bundle");
    assert_eq!(Header::decode(&headers[255]).expect("a header").seq, 255);
    node.stop();
}

/// Reads tiles for the crate tlog_tiles, which checks them against the checkpoint.
struct Http(String);

impl TileReader for Http {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let url =
            |tile: &tlog_tiles::Tile| format!("{}/{}", self.0, tile.path().replacen("tile/8/", "tile/", 1));
        let read = |tile| tokio::runtime::Handle::current().block_on(bytes(&url(tile)));
        Ok(tokio::task::block_in_place(|| tiles.iter().map(read).collect()))
    }

    fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crates_signed_note_and_tlog_tiles_check_a_live_node() {
    let dir = filled(SIZE);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let vkey = client.status().await.log_vkey;
    let note = bytes(&format!("{}/checkpoint", node.http)).await;
    let note = Note::from_bytes(&note).expect("a note");
    let verifier = StandardVerifier::new(&vkey).expect("a verifier key");
    let (signed, unknown) = note.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("a signature");
    assert_eq!((signed.len(), unknown.len()), (1, 0));
    let parsed = tlog_tiles::Checkpoint::from_bytes(note.text()).expect("a checkpoint");
    assert_eq!(parsed.size(), SIZE);
    let http = Http(node.http.clone());
    let hashes = TileHashReader::new(SIZE, *parsed.hash(), &http);
    assert_eq!(tlog::tree_hash(SIZE, &hashes).expect("a root").0, parsed.hash().0);
    for seq in [0, 255, 256, 65_535, 65_536, SIZE - 1] {
        let leaf = hashes.read_hashes(&[tlog::stored_hash_index(0, seq)]).expect("a leaf")[0];
        let theirs = tlog::prove_record(SIZE, seq, &hashes).expect("a proof");
        tlog::check_record(&theirs, SIZE, *parsed.hash(), seq, leaf).expect("a good proof");
        let request = GetInclusionProofRequest { seq, tree_size: 0 };
        let ours = client.auditor().get_inclusion_proof(request).await.expect("a proof").into_inner();
        assert_eq!(ours.hashes, theirs.iter().map(|hash| hash.0.to_vec()).collect::<Vec<_>>(), "entry {seq}");
        assert_eq!(tree::leaf_hash(&ours.header).0, leaf.0);
    }
    for old in [1, 255, 256, 257, 65_536, SIZE - 1, SIZE] {
        let theirs = tlog::prove_tree(SIZE, old, &hashes).expect("a proof");
        let request = GetConsistencyProofRequest { old_size: old, new_size: SIZE };
        let ours = client.auditor().get_consistency_proof(request).await.expect("a proof").into_inner();
        assert_eq!(ours.hashes, theirs.iter().map(|hash| hash.0.to_vec()).collect::<Vec<_>>(), "from {old}");
    }
    what_cannot_be_proven_is_refused(&client).await;
    node.stop();
}

async fn what_cannot_be_proven_is_refused(client: &Client) {
    for (seq, tree_size) in [(SIZE, 0), (5, 5), (0, SIZE + 1), (u64::MAX, u64::MAX)] {
        let request = GetInclusionProofRequest { seq, tree_size };
        let status = client.auditor().get_inclusion_proof(request).await.expect_err("no proof");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    for (old_size, new_size) in [(0, 5), (6, 5), (SIZE + 1, 0), (1, SIZE + 1), (u64::MAX, 0)] {
        let request = GetConsistencyProofRequest { old_size, new_size };
        let status = client.auditor().get_consistency_proof(request).await.expect_err("no proof");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
}

/// What `proof` prints verifies for who has the key alone; a checkpoint of another tree does not pass.
#[tokio::test(flavor = "multi_thread")]
async fn proofs_by_the_command_line_verify_offline() {
    let dir = filled(300);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let files = tempfile::tempdir().expect("a directory");
    let file = |name: &str| files.path().join(name).display().to_string();
    let old = bytes(&format!("{}/checkpoint", node.http)).await;
    std::fs::write(file("old.txt"), &old).expect("written");
    std::fs::write(file("log.vkey"), client.status().await.log_vkey).expect("written");
    client.upload_all().await;
    client.promote(client.draft(0, 0)).await.expect("a receipt");
    let command = |args: &[&str]| {
        let done = run(&[args, &["--url", &node.url, "--format", "json"]].concat());
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{done:?}"));
        (done.status.code(), json)
    };
    let proof = file("300.tlog-proof");
    let (code, json) = command(&["proof", "inclusion", "300", "--output", &proof]);
    assert_eq!((code, &json["verified"], &json["tree_size"]), (Some(0), &true.into(), &301.into()));
    let done = run(&["verify", "--receipt", &proof, "--key", &file("log.vkey")]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let (code, json) = command(&["proof", "inclusion", "7", "--checkpoint", &file("old.txt")]);
    assert_eq!((code, &json["tree_size"]), (Some(0), &300.into()));
    let (code, json) = command(&["proof", "inclusion", "300", "--checkpoint", &file("old.txt")]);
    assert_eq!(code, Some(1), "{json}");
    let (code, json) =
        command(&["proof", "consistency", "--since", &file("old.txt"), "--key", &file("log.vkey")]);
    assert_eq!((code, &json["old_size"], &json["new_size"]), (Some(0), &300.into(), &301.into()));
    let (code, json) =
        command(&["proof", "consistency", "--since", &file("old.txt"), "--until", &file("old.txt")]);
    assert_eq!((code, json["hashes"].as_array().map(Vec::len)), (Some(0), Some(0)));

    // Signed by the same log key, over another tree: what an operator with two ledgers would show.
    let key = promotion_ledger::keyfile::signing_key(&dir.path().join("keys/log.pem")).expect("the log key");
    let split = checkpoint::Checkpoint { origin: "localhost/test".into(), size: 300, root: Digest([7; 32]) };
    std::fs::write(file("split.txt"), checkpoint::sign(&split, &key)).expect("written");
    let (code, json) = command(&["proof", "consistency", "--since", &file("split.txt")]);
    assert_eq!(code, Some(1));
    assert!(json["error"].as_str().is_some_and(|why| why.contains("does not hold")), "{json}");
    let forged = String::from_utf8(old).expect("text").replace("\n300\n", "\n299\n");
    std::fs::write(file("forged.txt"), forged).expect("written");
    let (code, json) = command(&["proof", "consistency", "--since", &file("forged.txt")]);
    assert_eq!(code, Some(1));
    assert!(json["error"].as_str().is_some_and(|why| why.contains("not signed")), "{json}");
    node.stop();
}

/// golang.org/x/mod/sumdb/tlog, transparency-dev/formats and Tessera's client, by tests/clients/go.
#[tokio::test(flavor = "multi_thread")]
async fn go_clients_find_the_same_proofs() {
    let Some(clients) = clients("go_clients_find_the_same_proofs") else { return };
    let dir = filled(SIZE);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let vkey = client.status().await.log_vkey;
    let ask = |vkey: &str| {
        let mut command = std::process::Command::new(clients.join("tlog-client"));
        command.args(["-url", &node.http, "-key", vkey]);
        command.args(["-leaves", "0,255,256,65535,65800", "-sizes", "1,256,300,65536,65836"]);
        command.output().expect("the client runs")
    };
    let done = ask(&vkey);
    assert!(done.status.success(), "{done:?}");
    let found: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!((&found["size"], found["origin"].as_str()), (&SIZE.into(), Some("localhost/test")));
    let proofs = |name: &str| found[name].as_array().expect("proofs").clone();
    assert_eq!((proofs("inclusion").len(), proofs("consistency").len()), (5, 5));
    let hex = |hashes: Vec<Vec<u8>>| serde_json::json!(hashes.iter().map(hex::encode).collect::<Vec<_>>());
    for theirs in proofs("inclusion") {
        let request =
            GetInclusionProofRequest { seq: theirs["at"].as_u64().expect("an index"), tree_size: 0 };
        let ours = client.auditor().get_inclusion_proof(request).await.expect("a proof").into_inner();
        assert_eq!(hex(ours.hashes), theirs["proof"]);
    }
    for theirs in proofs("consistency") {
        let request =
            GetConsistencyProofRequest { old_size: theirs["at"].as_u64().expect("a size"), new_size: 0 };
        let ours = client.auditor().get_consistency_proof(request).await.expect("a proof").into_inner();
        assert_eq!(hex(ours.hashes), theirs["proof"]);
    }
    // The same client refuses another ledger's key: it does check.
    let other = Directory::init(&LogUnderTest::Embedded);
    let other = run(&["status", "--dir", &other.path().display().to_string(), "--format", "json"]);
    let other: serde_json::Value = serde_json::from_slice(&other.stdout).expect("JSON");
    assert!(!ask(other["log_vkey"].as_str().expect("a key")).status.success());
    node.stop();
}

/// Every file that the specification names for this size, as a mirror would hold them.
async fn mirror(node: &Node, to: &Path) {
    let fetch = async |path: String| {
        let file = to.join(&path);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        std::fs::write(file, bytes(&format!("{}/{path}", node.http)).await).expect("written");
    };
    fetch("checkpoint".into()).await;
    for level in 0..3_u8 {
        let nodes = SIZE >> (8 * level);
        for index in 0..nodes.div_ceil(256) {
            let width = (nodes - index * 256).min(256) as u16;
            fetch(format!("tile/{}", Tile { content: Content::Hashes(level), index, width }.path())).await;
            if level == 0 {
                fetch(format!("tile/{}", Tile { content: Content::Entries, index, width }.path())).await;
            }
        }
    }
}

/// Tessera's fsck, unmodified. It exits with 0 even when it fails, so its output is judged, and it must find damage.
#[tokio::test(flavor = "multi_thread")]
async fn fsck_of_tessera_passes_and_finds_damage() {
    let Some(clients) = clients("fsck_of_tessera_passes_and_finds_damage") else { return };
    let dir = filled(SIZE);
    let node = Node::serve(&dir.path());
    let files = tempfile::tempdir().expect("a directory");
    let key = files.path().join("log.vkey");
    std::fs::write(&key, node.client().await.status().await.log_vkey).expect("written");
    let fsck = |url: String| {
        let mut command = std::process::Command::new(clients.join("fsck"));
        command.args(["--ui=false", "-v=1", "-N=4", "--storage_url", &url, "--public_key"]).arg(&key);
        let done = command.output().expect("fsck runs");
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        (said.contains("fsck failed"), said.contains("Completed ranges"), said)
    };
    let (failed, completed, said) = fsck(node.http.clone());
    assert!(!failed && completed, "{said}");
    let copy = files.path().join("mirror");
    mirror(&node, &copy).await;
    node.stop();
    let url = format!("file://{}", copy.display());
    let (failed, completed, said) = fsck(url.clone());
    assert!(!failed && completed, "{said}");
    for path in ["tile/entries/100", "tile/0/000", "tile/1/000", "checkpoint"].map(|path| copy.join(path)) {
        damaged(&path, &|bytes| bytes[20] ^= 1, || {
            let (failed, _, said) = fsck(url.clone());
            assert!(failed, "{} was damaged, and fsck did not find it: {said}", path.display());
        });
    }
}

/// Changes a file, looks, and puts it back.
fn damaged(path: &PathBuf, change: &dyn Fn(&mut Vec<u8>), look: impl FnOnce()) {
    let original = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = original.clone();
    change(&mut bytes);
    std::fs::write(path, bytes).expect("written");
    look();
    std::fs::write(path, original).expect("written");
}
