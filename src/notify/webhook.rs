//! Delivery over HTTP: one signed POST, no redirects, under a deadline.

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect::Policy};

use super::{
    message::Message,
    signature::{Secret, signature},
    worker::Fate,
};

const WITHIN: Duration = Duration::from_secs(15);

/// A receiver.
pub struct Receiver {
    client: Client,
    url: String,
    secret: Secret,
    public_url: String,
}

impl Receiver {
    /// A receiver at an address; `authority`: PEM of a certificate authority of one's own.
    ///
    /// # Errors
    /// In words, if the authority cannot be read.
    pub fn new(
        url: &str,
        secret: Secret,
        public_url: &str,
        authority: Option<&[u8]>,
    ) -> Result<Self, String> {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .timeout(WITHIN)
            .user_agent(concat!("promotion-ledger/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = authority {
            let authority = reqwest::Certificate::from_pem(pem).map_err(|error| error.to_string())?;
            builder = builder.add_root_certificate(authority);
        }
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { client, url: url.to_owned(), secret, public_url: public_url.to_owned() })
    }

    /// Posts a message, signed for this moment (seconds since the Unix epoch).
    pub async fn deliver(&self, message: &Message, now: u64) -> Fate {
        let body = message.payload(&self.public_url);
        let signed = signature(&self.secret, &message.id, now, &body);
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", signed)
            .body(body);
        match request.send().await {
            Ok(answer) => fate(answer.status()),
            // The address is the operator's own; still, a query may hold a token.
            Err(error) => Fate::Later(error.without_url().to_string()),
        }
    }
}

fn fate(status: StatusCode) -> Fate {
    match status {
        status if status.is_success() => Fate::Delivered,
        // A receiver that lost its secret or its route is mended and asked again; what it calls a bad message stays bad.
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            Fate::Never(format!("it answered {status}"))
        }
        status => Fate::Later(format!("it answered {status}")),
    }
}
