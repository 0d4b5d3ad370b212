//! Reading a request as simple servers do that the tests put up.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Head and body of the next request; `None` if the caller has gone away.
pub async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut part) = (Vec::new(), [0_u8; 4096]);
    loop {
        let Ok(count @ 1..) = stream.read(&mut part).await else {
            return None;
        };
        bytes.extend_from_slice(&part[..count]);
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let (head, body) = (&bytes[..end], &bytes[end + 4..]);
        let head = String::from_utf8_lossy(head);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_it = name.eq_ignore_ascii_case("content-length");
            is_it.then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or_default() {
            let body = String::from_utf8_lossy(body).into_owned();
            return Some((head.into_owned(), body));
        }
    }
}

/// The value of a header.
pub fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let found = head.lines().filter_map(|line| line.split_once(": "));
    let mut found = found.filter(|(n, _)| n.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value).unwrap_or_default()
}

/// Takes the next request and leaves it without an answer: its body, and where to answer.
pub async fn taken(service: &TcpListener) -> (String, TcpStream) {
    let (mut stream, _) = service.accept().await.expect("a request");
    let (_, body) = request(&mut stream).await.expect("all of it");
    (body, stream)
}

pub async fn answer(mut stream: TcpStream, status: u16) {
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.expect("sent");
}
