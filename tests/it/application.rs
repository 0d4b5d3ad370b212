//! An application that users are sent back to: it answers every request with one small page.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Listens on a free port of the loopback interface until it is dropped.
pub struct Application {
    pub url: String,
    task: JoinHandle<()>,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 33\r\nconnection: close\r\n\r\n\
<!doctype html><title>app</title>";

impl Application {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        Self {
            url: format!("http://localhost:{port}"),
            task,
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !is_whole(&request) {
        match stream.read(&mut part).await {
            Ok(read) if read > 0 => request.extend(part.iter().take(read)),
            _ => return,
        }
    }
    let _ = stream.write_all(ANSWER).await;
}

/// Has the request come with all of the body that its head announces?
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split("content-length:").nth(1).unwrap_or("0");
    let length = length
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok());
    request.len() >= head.len() + 4 + length.unwrap_or(0)
}
