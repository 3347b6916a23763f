//! One file of several GiB on its real path: streamed over gRPC, its node killed in the middle, gone on with, put into the
//! bucket in parts, read back whole for a promotion. By hand only; the command is in `benches/README.md`.

use std::time::{Duration, Instant};

use promotion_ledger::event::proto::{
    EvidenceDescription, EvidenceRef, StatEvidenceRequest, StatEvidenceResponse, UploadEvidenceRequest,
    upload_evidence_request::Part,
};
use sha2::Digest as _;
use tonic::Status;

use crate::{
    harness::{Client, Node},
    s3_node::directory,
    s3_service::service,
};

const MIB: u64 = 1 << 20;

/// The n-th MiB of the file: no two are alike.
fn block(base: &[u8], n: u64) -> Vec<u8> {
    let mut bytes = base.to_vec();
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    bytes
}

async fn stat(client: &Client, sha256: &[u8]) -> StatEvidenceResponse {
    let request = StatEvidenceRequest { sha256: sha256.to_vec() };
    client.emitter().stat_evidence(request).await.expect("an answer").into_inner()
}

/// Streams the file from an offset on, which is made while it is sent.
async fn upload(client: &Client, base: Vec<u8>, description: EvidenceDescription) -> Result<(), Status> {
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let (offset, length) = (description.offset, description.length);
    let sending = tokio::spawn(async move {
        let part = |part| UploadEvidenceRequest { part: Some(part) };
        let _ = sender.send(part(Part::Description(description))).await;
        let mut at = offset;
        while at < length {
            let bytes = block(&base, at / MIB);
            let skipped = (at % MIB) as usize;
            for chunk in bytes[skipped..].chunks(128 * 1024) {
                // A node that died takes no more.
                if sender.send(part(Part::Chunk(chunk.to_vec()))).await.is_err() {
                    return;
                }
            }
            at += MIB - at % MIB;
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let done = client.emitter().upload_evidence(stream).await.map(|_| ());
    sending.abort();
    done
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "moves some 30 GiB; benches/README.md has the command"]
async fn several_gib_go_through_an_interruption_into_parts_and_a_promotion() {
    let service = service("several_gib_go_through_an_interruption_into_parts_and_a_promotion");
    let service = service.expect("S3_ENDPOINT and S3_CREDENTIALS name a service");
    let gib = std::env::var("LARGE_GIB").map_or(6, |text| text.parse().expect("a number of GiB"));
    let length = gib * 1024 * MIB;
    let base: Vec<u8> = (0..MIB as u32).map(|i| (i ^ (i >> 7)) as u8).collect();
    let began = Instant::now();
    let mut hasher = sha2::Sha256::new();
    for n in 0..length / MIB {
        hasher.update(block(&base, n));
    }
    let sha256 = hasher.finalize().to_vec();
    eprintln!("{gib} GiB made and hashed in {:.0} s", began.elapsed().as_secs_f64());

    let bucket = service.locked_bucket("several-gib").await;
    let dir = directory(&service, &bucket, 2);
    let node = Node::serve(&dir.path());
    let client = node.client().await;
    client.upload_all().await;
    let description = EvidenceDescription {
        sha256: sha256.clone(),
        length,
        media_type: "text/csv".into(),
        ..EvidenceDescription::default()
    };
    let began = Instant::now();
    let watching = node.client().await;
    let (interrupted, asked) = (base.clone(), description.clone());
    let uploading = tokio::spawn(async move { upload(&client, interrupted, asked).await });
    while stat(&watching, &sha256).await.received < length / 2 {
        assert!(!uploading.is_finished(), "{:?}", uploading.await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let peak = node.memory_peak();
    node.kill();
    let seconds = began.elapsed().as_secs_f64();
    uploading.await.expect("no panic").expect_err("its node is dead");
    eprintln!("half of it in {seconds:.0} s, then kill -9; the node had at most {} MiB", peak >> 20);

    let node = Node::serve(&dir.path());
    let client = node.client().await;
    let found = stat(&client, &sha256).await;
    assert!(!found.present && found.received >= length / 2 - 64 * MIB, "{found:?}");
    let began = Instant::now();
    let rest = EvidenceDescription { offset: found.received, ..description.clone() };
    upload(&client, base, rest).await.expect("the rest, and the bucket's word for all of it");
    eprintln!(
        "went on at {} MiB; the rest, and all of it into the bucket, in {:.0} s",
        found.received / MIB,
        began.elapsed().as_secs_f64()
    );
    assert!(stat(&client, &sha256).await.present);
    let key = format!("sha256/{}", hex::encode(&sha256));
    let head = service.client.head_object().bucket(&bucket).key(&key).send().await.expect("an object");
    assert_eq!(head.content_length(), Some(length as i64));
    assert_eq!(head.object_lock_mode().map(|mode| mode.as_str()), Some("COMPLIANCE"));
    assert!(head.e_tag().is_some_and(|tag| tag.contains('-')), "one PUT took it: {:?}", head.e_tag());

    let began = Instant::now();
    let mut draft = client.draft(0, 0);
    let content = EvidenceRef { sha256, length, media_type: "text/csv".into(), ..EvidenceRef::default() };
    draft.explanations.last_mut().expect("an explanation").content = Some(content);
    let receipt = client.promote(draft).await.expect("a receipt");
    eprintln!(
        "promoted as entry {} in {:.0} s; the node had at most {} MiB",
        receipt.seq,
        began.elapsed().as_secs_f64(),
        node.memory_peak() >> 20
    );
    assert!(node.memory_peak() < 512 * MIB, "{} bytes of memory", node.memory_peak());
    client.check().await;
    node.stop();
}
