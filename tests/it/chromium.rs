//! Headless Chromium through its WebDriver: one driver for all tests of this process, one profile for each test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::skip::skip;

struct Driver {
    address: String,
    process: Child,
}

static SHARED: Mutex<Weak<Driver>> = Mutex::new(Weak::new());

impl Driver {
    fn shared() -> Option<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    fn start() -> Option<Self> {
        let spawned = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = match spawned {
            Ok(process) => process,
            Err(error) => {
                skip(
                    "browser tests",
                    &format!("chromedriver: {error}; `make tools` installs it"),
                );
                return None;
            }
        };
        let mut output = BufReader::new(process.stdout.take().expect("its output")).lines();
        let port = loop {
            let line = output
                .next()
                .expect("chromedriver says where it listens")
                .expect("a line");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        std::thread::spawn(move || output.for_each(drop));
        Some(Self {
            address: format!("127.0.0.1:{port}"),
            process,
        })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser with an empty profile; it ends when this is dropped, also by a test that fails.
pub struct Chromium {
    client: Client,
    session: String,
    _profile: TempDir,
    driver: Arc<Driver>,
}

impl Chromium {
    /// `None` when the browser or its driver is not installed.
    pub async fn open() -> Option<Self> {
        let driver = Driver::shared()?;
        let profile = TempDir::new().expect("a temporary folder");
        let capabilities = json!({
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
                format!("--user-data-dir={}", profile.path().display()),
            ]},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities = capabilities.as_object().expect("an object").clone();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://{}", driver.address))
            .await
            .unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        let session = client.session_id().await.expect("a session");
        Some(Self {
            client,
            session: session.expect("a session"),
            _profile: profile,
            driver,
        })
    }

    /// A command of the developer tools, and what it answers.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let (driver, session) = (&self.driver.address, &self.session);
        let answer = reqwest::Client::new()
            .post(format!(
                "http://{driver}/session/{session}/goog/cdp/execute"
            ))
            .json(&json!({"cmd": command, "params": parameters}))
            .send()
            .await
            .expect("an answer of the driver");
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(status, 200, "{command}: {body}");
        body["value"].clone()
    }

    pub async fn goto(&self, url: &Url) {
        self.client
            .goto(url.as_str())
            .await
            .expect("the page opens");
    }

    pub async fn url(&self) -> Url {
        self.client.current_url().await.expect("an address")
    }

    /// Waits until an element is there.
    pub async fn find(&self, css: &str) -> Element {
        let waited = self.client.wait().at_most(Duration::from_secs(30));
        match waited.for_element(Locator::Css(css)).await {
            Ok(element) => element,
            Err(error) => panic!(
                "no {css} on {}: {error}\n{}",
                self.url().await,
                self.text().await
            ),
        }
    }

    pub async fn has(&self, css: &str) -> bool {
        !self
            .client
            .find_all(Locator::Css(css))
            .await
            .expect("a search")
            .is_empty()
    }

    /// What a person can read on the page.
    pub async fn text(&self) -> String {
        let body = self
            .client
            .find(Locator::Css("body"))
            .await
            .expect("a page");
        body.text().await.expect("a text")
    }

    /// Replaces the content of a field.
    pub async fn fill(&self, css: &str, value: &str) {
        let field = self.find(css).await;
        field.clear().await.expect("an editable field");
        field.send_keys(value).await.expect("an editable field");
    }

    /// Presses a button or link and waits until its page has gone, so that what follows sees the next one.
    pub async fn press(&self, css: &str) {
        let element = self.find(css).await;
        let page = self.find("html").await;
        element.click().await.expect("something to press");
        for _ in 0..600 {
            if page.tag_name().await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("pressing {css} leads nowhere from {}", self.url().await);
    }

    /// Presses something whose page stays.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.click().await.expect("something to press");
    }

    /// Waits until an element can be seen and says something; answers what.
    pub async fn shown(&self, css: &str) -> String {
        for _ in 0..600 {
            let element = self.find(css).await;
            // the page may change between the questions
            if let (Ok(true), Ok(text)) = (element.is_displayed().await, element.text().await)
                && !text.is_empty()
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{css} stays hidden\n{}", self.text().await);
    }

    /// Waits until the address starts like this.
    pub async fn arrived(&self, start: &str) -> Url {
        for _ in 0..600 {
            let url = self.url().await;
            if url.as_str().starts_with(start) {
                return url;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!(
            "stayed at {} instead of {start}\n{}",
            self.url().await,
            self.text().await
        );
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let address = &self.driver.address;
        let Ok(mut stream) = TcpStream::connect(address) else {
            return;
        };
        let request = format!(
            "DELETE /session/{} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n",
            self.session
        );
        let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
        let _ = stream.write_all(request.as_bytes());
        // the driver keeps the connection open, so the first bytes of its answer have to do
        let _ = stream.read(&mut [0; 64]);
    }
}
