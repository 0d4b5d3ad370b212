//! HTTP/1.1 over one kept connection, with as little work as possible: the machine is there for the server.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: usize,
}

/// The answer to one request; it borrows the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    head: &'a [u8],
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(16 * 1024),
            used: 0,
        })
    }

    /// Sends one request and reads its whole answer, which must say how long it is.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.stream.write_all(request).await?;
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let status = status(&self.buffer).ok_or_else(|| broken("no status line"))?;
        let length = match header(&self.buffer[..head], "content-length") {
            Some(value) => value.parse().map_err(|_| broken("a strange length"))?,
            None if matches!(status, 204 | 304) => 0,
            None => return Err(broken("an answer without a length")),
        };
        self.used = head + length;
        while self.buffer.len() < self.used {
            self.more().await?;
        }
        Ok(Answer {
            status,
            head: &self.buffer[..head],
            body: &self.buffer[head..self.used],
        })
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl Answer<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.head, name)
    }

    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        lines(self.head, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    lines(head, name).next()
}

fn lines<'a>(head: &'a [u8], name: &str) -> impl Iterator<Item = &'a str> {
    head.split(|byte| *byte == b'\n').filter_map(move |line| {
        let (start, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        start
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| std::str::from_utf8(value).unwrap_or_default().trim())
    })
}

/// A request ready to send. A body is a form.
pub fn request(
    method: &str,
    port: u16,
    target: &str,
    headers: &[(&str, &str)],
    form: &str,
) -> Vec<u8> {
    use std::fmt::Write;
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: localhost:{port}\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if method == "POST" {
        let length = form.len();
        let _ = write!(
            text,
            "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
        );
    }
    text.push_str("\r\n");
    text.push_str(form);
    text.into_bytes()
}

/// Percent-encodes a form's or query's pairs.
pub fn form(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// The `Authorization` of a client that has a secret (RFC 6749 §2.3.1).
pub fn basic(id: &str, secret: &str) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let encode = |text: &str| form(&[("", text)]).trim_start_matches('=').to_owned();
    let pair = format!("{}:{}", encode(id), encode(secret));
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}
