//! Reading a request as simple servers do that the tests put up.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

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
