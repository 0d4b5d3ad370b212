//! A provider of device challenges as an operator would run it, and the address that custom challenges report to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::receive;

const PATIENCE: Duration = Duration::from_secs(30);

/// A request as it came in.
#[derive(Debug)]
pub struct Seen {
    /// Method and path, with the query.
    pub what: String,
    pub head: String,
    pub text: String,
}

impl Seen {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> &str {
        receive::header(&self.head, name)
    }
}

#[derive(Default)]
struct State {
    /// What was asked, by the id it got here.
    asked: HashMap<String, Value>,
    /// The button that was pressed.
    pressed: HashMap<String, i64>,
    devices: Vec<Value>,
    /// Does it ask nobody anything?
    fails: bool,
    /// What the next reports are answered with, before 204.
    refusals: VecDeque<u16>,
}

pub struct Provider {
    pub url: String,
    state: Arc<Mutex<State>>,
    seen: UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let state = Arc::new(Mutex::new(State::default()));
        let (tell, seen) = unbounded_channel();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared), tell.clone()));
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}"),
            state,
            seen,
            task,
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    /// The person presses a button: what the provider then calls back with.
    pub fn press(&self, id: &str, button: i64) -> Value {
        let mut state = self.state();
        state.pressed.insert(id.to_owned(), button);
        json!({ "id": id, "interactionDetails": state.asked[id], "action": button })
    }

    /// As if it had been told to ask this.
    pub fn asks(&self, id: &str, details: Value) {
        self.state().asked.insert(id.to_owned(), details);
    }

    pub fn has_devices(&self, ids: &[&str]) {
        self.state().devices = ids.iter().map(|id| json!({ "id": id })).collect();
    }

    pub fn refuses(&self, statuses: &[u16]) {
        self.state().refusals = statuses.iter().copied().collect();
    }

    /// From now on nobody is asked anything.
    pub fn fails(&self) {
        self.state().fails = true;
    }

    /// The next request to a path.
    pub async fn next(&mut self, path: &str) -> Seen {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.seen.recv()).await;
            let next = next.unwrap_or_else(|_| panic!("nothing came to {path}"));
            let seen = next.expect("the provider runs");
            if seen.what.contains(path) {
                return seen;
            }
        }
    }

    /// How many requests to a path have come that nobody asked for.
    pub fn rest(&mut self, path: &str) -> usize {
        let mut count = 0;
        while let Ok(seen) = self.seen.try_recv() {
            count += usize::from(seen.what.contains(path));
        }
        count
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(seen: &Seen, state: &Mutex<State>) -> (u16, Value) {
    let mut state = state.lock().expect("the state");
    let (path, query) = seen.what.split_once('?').unwrap_or((&seen.what, ""));
    match path {
        "POST /challenge" if state.fails => (503, json!({})),
        "POST /challenge" => {
            let id = format!("request-{}", state.asked.len() + 1);
            let details = seen.json()["interactionDetails"].clone();
            state.asked.insert(id.clone(), details.clone());
            (200, json!({ "id": id, "interactionDetails": details }))
        }
        "GET /validate" => {
            let id = query.trim_start_matches("requestId=");
            let details = state.asked.get(id).cloned().unwrap_or_default();
            let pressed = state.pressed.get(id);
            (
                200,
                json!({ "id": id, "interactionDetails": details, "action": pressed }),
            )
        }
        "PUT /bind" => (200, json!({ "id": "bind-1", "more": "a&b" })),
        "GET /devices" => (200, state.devices.clone().into()),
        "POST /hook" => (
            state.refusals.pop_front().unwrap_or(204),
            Value::String(String::new()),
        ),
        _ => (200, json!({})),
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, tell: UnboundedSender<Seen>) {
    let Some((head, body)) = receive::request(&mut stream).await else {
        return;
    };
    let first = head.lines().next().unwrap_or_default();
    let seen = Seen {
        what: first.trim_end_matches(" HTTP/1.1").to_owned(),
        head: head.clone(),
        text: body,
    };
    let (status, body) = answer(&seen, &state);
    let _ = tell.send(seen);
    let body = if status == 204 {
        String::new()
    } else {
        body.to_string()
    };
    let more = if status == 302 {
        "location: /elsewhere\r\n"
    } else {
        ""
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}
