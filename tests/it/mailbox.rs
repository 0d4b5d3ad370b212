//! A mail server that people's mailboxes are on, and a notification service.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use url::Url;

use crate::receive;
use crate::skip::skip;

const PATIENCE: Duration = Duration::from_mins(1);

/// A message as it arrived: what the envelope said, and what a mail program sees.
#[derive(Debug, Deserialize)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub text: String,
    pub html: String,
}

impl Mail {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let mut all = self.headers.iter();
        let mut found = Vec::new();
        while let Some((_, value)) = all.find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            found.push(value.as_str());
        }
        found
    }

    pub fn subject(&self) -> &str {
        self.header("subject").first().copied().unwrap_or_default()
    }

    /// The link that both parts show.
    pub fn link(&self) -> Url {
        let link = self.text.lines().find(|l| l.starts_with("http"));
        let link = link.unwrap_or_else(|| panic!("no link in {}", self.text));
        let html = self.html.replace("&#38;", "&").replace("&amp;", "&");
        assert!(html.contains(link), "{html}");
        Url::parse(link.trim()).expect("an address")
    }
}

pub struct Mailbox {
    pub port: u16,
    mails: UnboundedReceiver<Mail>,
    set_aside: VecDeque<Mail>,
    control: ChildStdin,
    process: Child,
}

impl Mailbox {
    /// Listens on the port, 0 for a free one; `None` when its program is not installed. With a
    /// certificate and its key (files) it offers STARTTLS.
    pub fn start(port: u16, certificate: Option<(&str, &str)>) -> Option<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/tools/smtp-venv/bin/python");
        if !python.exists() {
            let why = format!("{} is not there; `make tools` makes it", python.display());
            skip("tests with a mail server", &why);
            return None;
        }
        let mut command = Command::new(python);
        command
            .arg(root.join("tests/tools/smtp/server.py"))
            .arg(port.to_string());
        if let Some((certificate, key)) = certificate {
            command.args([certificate, key]);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the mail server starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let first = lines.next().expect("its port").expect("a line");
        let (tell, mails) = unbounded_channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mail = serde_json::from_str(&line).expect("a message");
                if tell.send(mail).is_err() {
                    return;
                }
            }
        });
        Some(Self {
            port: first.parse().expect("a port"),
            mails,
            set_aside: VecDeque::new(),
            control: process.stdin.take().expect("its input"),
            process,
        })
    }

    /// From now on nobody is refused.
    pub fn accept_everybody(&mut self) {
        self.control.write_all(b"\n").expect("it listens");
    }

    /// Waits for the next message to the address; others stay for later.
    pub async fn next_to(&mut self, address: &str) -> Mail {
        let for_them = |mail: &Mail| mail.to.iter().any(|to| to == address);
        if let Some(at) = self.set_aside.iter().position(for_them) {
            return self.set_aside.remove(at).expect("it was there");
        }
        loop {
            let next = tokio::time::timeout(PATIENCE, self.mails.recv()).await;
            let mail = next.unwrap_or_else(|_| panic!("no mail to {address}"));
            let mail = mail.expect("the mail server runs");
            if for_them(&mail) {
                return mail;
            }
            self.set_aside.push_back(mail);
        }
    }

    /// Everything that has arrived and was not asked for.
    pub fn rest(&mut self) -> Vec<Mail> {
        let mut all: Vec<Mail> = self.set_aside.drain(..).collect();
        while let Ok(mail) = self.mails.try_recv() {
            all.push(mail);
        }
        all
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A notification service.
pub struct Receiver {
    pub url: String,
    /// What it answers; 0 is nothing at all.
    pub status: Arc<AtomicU16>,
    seen: UnboundedReceiver<(String, Value)>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let status = Arc::new(AtomicU16::new(204));
        let (tell, seen) = unbounded_channel();
        let wanted = Arc::clone(&status);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(take(stream, wanted.load(Ordering::SeqCst), tell.clone()));
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}/notify"),
            status,
            seen,
            task,
        }
    }

    /// The next request: its head, and its body as JSON.
    pub async fn next(&mut self) -> (String, Value) {
        let next = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
        next.expect("a request").expect("the service runs")
    }

    pub fn rest(&mut self) -> usize {
        let mut count = 0;
        while self.seen.try_recv().is_ok() {
            count += 1;
        }
        count
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(mut stream: TcpStream, status: u16, tell: UnboundedSender<(String, Value)>) {
    let Some((head, body)) = receive::request(&mut stream).await else {
        return;
    };
    let body = serde_json::from_str(&body).expect("JSON");
    let _ = tell.send((head, body));
    if status == 0 {
        // until the caller gives up or dies
        let _ = stream.read(&mut [0]).await;
        return;
    }
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
}
