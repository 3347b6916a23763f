//! A service that follows the ledger: what was promoted, in order, none left out, going on where it stopped.
//!
//! It takes the node's word for nothing that it can check itself: each header is linked to the one before it, also across
//! restarts, and each record is the one that its header names. Whether the node shows the same ledger to everybody is what
//! receipts, checkpoints and witnesses are for (`promotion-ledger verify`).
//!
//! ```sh
//! promotion-ledger token --role consumer >token
//! cargo run --example consumer -- http://127.0.0.1:7420 token position
//! ```

use std::{error::Error, fs, io, path::Path};

use promotion_ledger::event::{
    Digest, Header, Outcome, Seq, canonical,
    digest::{link, record_digest},
    proto::{SubscribeRequest, body::Event, consumer_service_client::ConsumerServiceClient},
};
use tonic::{Request, transport::Channel};

/// What a consumer keeps: how many entries it has had, and the link of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The next entry.
    pub next: Seq,
    /// What that entry's header must name as its predecessor.
    pub link: Digest,
}

impl Position {
    /// Before the first entry.
    pub const START: Self = Self { next: 0, link: Digest([0; 32]) };

    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::START),
            text => text?,
        };
        let (next, link) = text.trim().split_once(' ').ok_or("the position is not `NEXT LINK`")?;
        Ok(Self { next: next.parse()?, link: Digest::from_hex(link).ok_or("the link is not 64 hex digits")? })
    }

    /// Whole or not at all: a crash in between leaves the old one.
    fn write(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        fs::write(&new, format!("{} {}\n", self.next, hex::encode(self.link.0)))?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, path)
    }
}

/// Follows from a position to the newest entry; `handle` gets each accepted event, and its position is kept afterwards. Who is
/// killed in between gets that event once more: `handle` must not mind (by the sequence number, for instance).
///
/// # Errors
/// Of the call; and what does not follow from what was there before.
pub async fn follow(
    url: &str,
    token: &str,
    position: &Path,
    mut handle: impl FnMut(&Header, &Event),
) -> Result<Position, Box<dyn Error>> {
    let mut at = Position::read(position)?;
    let channel = Channel::from_shared(url.to_owned())?.connect().await?;
    let mut client = ConsumerServiceClient::new(channel).max_decoding_message_size(64 << 20);
    let mut request = Request::new(SubscribeRequest { from: at.next, follow: false });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let mut entries = client.subscribe(request).await?.into_inner();
    while let Some(message) = entries.message().await? {
        let entry = message.entry.ok_or("a message without an entry")?;
        let header = Header::decode(&entry.header)?;
        if (header.seq, header.prev_link) != (at.next, at.link) {
            return Err(format!(
                "entry {} does not follow what was there before entry {}",
                header.seq, at.next
            )
            .into());
        }
        if record_digest(&entry.record) != header.record_digest {
            return Err(format!("entry {} came with another record than its header names", header.seq).into());
        }
        if header.outcome == Outcome::Accepted {
            let event = canonical::decode(&entry.record)
                .map_err(|error| format!("entry {}: {error:?}", header.seq))?;
            if let Some(event) = &event.body.event {
                handle(&header, event);
            }
        }
        at = Position { next: header.seq + 1, link: link(&header.encode()) };
        at.write(position)?;
    }
    Ok(at)
}

/// What is said of a promotion.
pub fn line(header: &Header, event: &Event) -> Option<String> {
    let Event::Promoted(promoted) = event else { return None };
    let (slot, version) = (promoted.slot.as_ref()?, promoted.model_version.as_ref()?);
    Some(format!(
        "entry {}: {} version {} promoted to {}",
        header.seq, version.name, version.version, slot.environment
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, token, position] = arguments.as_slice() else {
        return Err("usage: consumer URL TOKEN_FILE POSITION_FILE".into());
    };
    let token = fs::read_to_string(token)?;
    let at = follow(url, token.trim(), Path::new(position), |header, event| {
        if let Some(line) = line(header, event) {
            println!("{line}");
        }
    })
    .await?;
    println!("as far as entry {}", at.next);
    Ok(())
}
