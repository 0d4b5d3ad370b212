//! An application that users are sent back to: it answers every request with one small page.

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::receive;

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
    if receive::request(&mut stream).await.is_none() {
        return;
    }
    let _ = stream.write_all(ANSWER).await;
}
