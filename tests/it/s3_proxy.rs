//! A real HTTP proxy in front of the S3 service, which cuts connections, answers itself, and alters answers.
//!
//! It takes one request of each connection and keeps the host's name, so that signatures hold at the service.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request, as far as faults look at it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Path and query.
    pub target: String,
}

impl Asked {
    /// Whether the query has a part with this name.
    pub fn has(&self, name: &str) -> bool {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query.split('&').any(|part| part.split('=').next() == Some(name))
    }

    /// An object itself is asked for, put or deleted, and nothing about it.
    pub fn is_object(&self, method: &str) -> bool {
        let about = ["retention", "versions", "uploads", "uploadId", "legal-hold"];
        self.method == method && !about.iter().any(|name| self.has(name))
    }
}

/// An answer of the service that may be altered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer of nothing but a status, and S3's error code where it is one.
    pub fn plain(status: u16, code: &str) -> Self {
        let body = match code {
            "" => Vec::new(),
            code => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>said by the test</Message></Error>"
            )
            .into_bytes(),
        };
        Self { status, headers: vec![("content-type".into(), "application/xml".into())], body }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Sets a header, or removes it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
}

/// Makes an answer another one.
pub type Alteration = Arc<dyn Fn(&Asked, &mut Answer) + Send + Sync>;

/// What happens to a request.
#[derive(Clone)]
pub enum Fault {
    /// The proxy answers, and the service never hears of it.
    Says(Answer),
    /// The connection is cut after so many bytes of the request's body; the service gets those.
    CutRequest(usize),
    /// The service does what was asked, and the connection is cut before the answer.
    CutAnswer,
    /// Nothing happens for so long; then the connection is cut.
    Hangs(Duration),
    /// The answer's head, and only so many bytes of its body.
    Truncated(usize),
    /// The answer is another one.
    Altered(Alteration),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Says(answer) => write!(f, "says {}", answer.status),
            Self::CutRequest(after) => write!(f, "cuts the request after {after} bytes"),
            Self::CutAnswer => f.write_str("cuts before the answer"),
            Self::Hangs(time) => write!(f, "hangs for {time:?}"),
            Self::Truncated(after) => write!(f, "cuts the answer after {after} bytes"),
            Self::Altered(_) => f.write_str("alters the answer"),
        }
    }
}

/// An alteration.
pub fn altered(change: impl Fn(&mut Answer) + Send + Sync + 'static) -> Fault {
    Fault::Altered(Arc::new(move |_, answer| change(answer)))
}

type Matches = Arc<dyn Fn(&Asked) -> bool + Send + Sync>;

struct Rule {
    matches: Matches,
    fault: Fault,
    /// How often it still happens.
    times: usize,
}

/// The running proxy.
pub struct Proxy {
    /// Its address.
    pub endpoint: String,
    rules: Arc<Mutex<Vec<Rule>>>,
    happened: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Starts in front of a service.
    pub async fn start(service: &str) -> Self {
        let upstream = service.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let rules: Arc<Mutex<Vec<Rule>>> = Arc::default();
        let happened: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, noted) = (rules.clone(), happened.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, known, noted) = (upstream.clone(), known.clone(), noted.clone());
                tokio::spawn(async move {
                    // A connection that breaks is what this is for.
                    let _ = one_request(client, &upstream, &known, &noted).await;
                });
            }
        });
        Self { endpoint, rules, happened, task }
    }

    /// From now on this happens to every such request; earlier rules come first.
    pub fn always(&self, matches: impl Fn(&Asked) -> bool + Send + Sync + 'static, fault: Fault) {
        self.times(usize::MAX, matches, fault);
    }

    /// The same for the next so many such requests.
    pub fn times(
        &self,
        times: usize,
        matches: impl Fn(&Asked) -> bool + Send + Sync + 'static,
        fault: Fault,
    ) {
        let rule = Rule { matches: Arc::new(matches), fault, times };
        self.rules.lock().expect("no panic").push(rule);
    }

    /// No more faults. What happened since the last call.
    pub fn honest(&self) -> Vec<String> {
        self.rules.lock().expect("no panic").clear();
        std::mem::take(&mut *self.happened.lock().expect("no panic"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads up to the end of a head. The head, and what came behind it.
async fn head(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        match stream.read(&mut buffer).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend(&buffer[..n]),
        }
    }
}

fn headers_of(head: &str) -> Vec<(String, String)> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn length_of(headers: &[(String, String)]) -> usize {
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

async fn one_request(
    mut client: TcpStream,
    upstream: &str,
    rules: &Mutex<Vec<Rule>>,
    happened: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let (head_text, early) = head(&mut client).await?;
    let mut line = head_text.lines().next().unwrap_or_default().split(' ');
    let asked = Asked {
        method: line.next().unwrap_or_default().to_owned(),
        target: line.next().unwrap_or_default().to_owned(),
    };
    let fault = {
        let mut rules = rules.lock().expect("no panic");
        let rule = rules.iter_mut().find(|rule| rule.times > 0 && (rule.matches)(&asked));
        rule.map(|rule| {
            rule.times -= usize::from(rule.times != usize::MAX);
            rule.fault.clone()
        })
    };
    if let Some(fault) = &fault {
        let what = format!("{} {}: {fault:?}", asked.method, asked.target);
        happened.lock().expect("no panic").push(what);
    }
    let headers = headers_of(&head_text);
    let expects = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"));
    let length = length_of(&headers);
    if let Some(Fault::Hangs(time)) = fault {
        tokio::time::sleep(time).await;
        return Ok(());
    }
    if expects {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let most = match fault {
        Some(Fault::CutRequest(after)) => after.min(length),
        _ => length,
    };
    let mut body = early;
    let mut buffer = vec![0; 64 * 1024];
    while body.len() < most {
        match client.read(&mut buffer).await? {
            0 => return Ok(()),
            n => body.extend(&buffer[..n]),
        }
    }
    body.truncate(most);
    if let Some(Fault::Says(answer)) = &fault {
        return reply(&mut client, &asked, answer, None).await;
    }
    let mut service = TcpStream::connect(upstream).await?;
    service.write_all(closing(&head_text).as_bytes()).await?;
    service.write_all(&body).await?;
    if matches!(fault, Some(Fault::CutRequest(_))) {
        return Ok(());
    }
    let mut answer = answer_of(&mut service, &asked).await?;
    match fault {
        Some(Fault::CutAnswer) => Ok(()),
        Some(Fault::Truncated(after)) => reply(&mut client, &asked, &answer, Some(after)).await,
        Some(Fault::Altered(change)) => {
            change(&asked, &mut answer);
            reply(&mut client, &asked, &answer, None).await
        }
        _ => reply(&mut client, &asked, &answer, None).await,
    }
}

/// The same head, for one request on its connection and with its body already here.
fn closing(head: &str) -> String {
    let kept = head.trim_end().lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("connection") && !name.eq_ignore_ascii_case("expect")
    });
    let lines: Vec<_> = kept.collect();
    format!("{}\r\nConnection: close\r\n\r\n", lines.join("\r\n"))
}

async fn answer_of(service: &mut TcpStream, asked: &Asked) -> std::io::Result<Answer> {
    let (text, mut body) = head(service).await?;
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(502);
    let headers = headers_of(&text);
    if asked.method != "HEAD" {
        service.read_to_end(&mut body).await?;
    }
    let chunked = headers.iter().any(|(name, value)| {
        name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked")
    });
    if chunked {
        body = joined(&body);
    }
    Ok(Answer { status, headers, body })
}

/// The content of chunks.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
        let length =
            std::str::from_utf8(&chunks[..end]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(length) = length.filter(|length| *length > 0) else { break };
        let from = end + 2;
        all.extend(&chunks[from..from + length]);
        chunks = &chunks[from + length + 2..];
    }
    all
}

async fn reply(
    client: &mut TcpStream,
    asked: &Asked,
    answer: &Answer,
    only: Option<usize>,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {} Said\r\n", answer.status);
    let own = ["connection", "transfer-encoding", "content-length"];
    for (name, value) in
        answer.headers.iter().filter(|(name, _)| !own.contains(&name.to_ascii_lowercase().as_str()))
    {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    // A HEAD's length is that of the object.
    let length = match asked.method.as_str() {
        "HEAD" => answer.header("content-length").unwrap_or("0").to_owned(),
        _ => answer.body.len().to_string(),
    };
    text.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n"));
    client.write_all(text.as_bytes()).await?;
    if asked.method != "HEAD" {
        let most = only.unwrap_or(answer.body.len()).min(answer.body.len());
        client.write_all(&answer.body[..most]).await?;
    }
    client.flush().await
}
