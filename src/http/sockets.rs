//! WebSockets (RFC 6455): how many there may be, and keeping each of them alive.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web;
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use dashmap::DashMap;
use futures_util::StreamExt;
use ueauth_actors::Clock;

use crate::http::error::ApiResult;
use crate::http::{ApiError, Reply, Request};

/// Longest message a client may send, in bytes. Nothing it sends is read.
const LONGEST: usize = 1024;

/// Close codes of this server, from the range for private use (RFC 6455 §7.4.2).
pub const UNKNOWN: CloseCode = CloseCode::Other(4404);
pub const SILENT: CloseCode = CloseCode::Other(4408);

/// What was sent in place of a body by a client that wants a socket.
pub struct Upgrade(web::Payload);

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upgrade")
    }
}

impl From<web::Payload> for Upgrade {
    fn from(payload: web::Payload) -> Self {
        Self(payload)
    }
}

/// The sockets that are open, by who opened them and for which group.
#[derive(Debug)]
pub struct Sockets {
    by_address: Arc<DashMap<IpAddr, usize>>,
    by_group: Arc<DashMap<Arc<str>, usize>>,
    open: Arc<AtomicUsize>,
    per_address: usize,
    per_group: usize,
    /// How long a client may be silent before it is asked whether it is still there.
    pub ping: Duration,
}

/// The right to one socket, until it is dropped.
#[derive(Debug)]
pub struct Place {
    by_address: Option<(Arc<DashMap<IpAddr, usize>>, IpAddr)>,
    by_group: (Arc<DashMap<Arc<str>, usize>>, Arc<str>),
    open: Arc<AtomicUsize>,
}

impl Sockets {
    pub fn new(per_address: usize, per_group: usize, ping: Duration) -> Self {
        Self {
            by_address: Arc::default(),
            by_group: Arc::default(),
            open: Arc::default(),
            per_address,
            per_group,
            ping,
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// 429 once the address has as many as it may have, 503 once the group has.
    pub fn enter(&self, address: Option<IpAddr>, group: &str) -> ApiResult<Place> {
        let group: Arc<str> = group.into();
        if !count(&self.by_group, Arc::clone(&group), self.per_group) {
            return Err(ApiError::busy(1));
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut place = Place {
            by_address: None,
            by_group: (Arc::clone(&self.by_group), group),
            open: Arc::clone(&self.open),
        };
        if let Some(address) = address {
            if !count(&self.by_address, address, self.per_address) {
                return Err(ApiError::too_many(1));
            }
            place.by_address = Some((Arc::clone(&self.by_address), address));
        }
        Ok(place)
    }
}

/// One more, unless there are as many as may be.
fn count<K: std::hash::Hash + Eq>(all: &DashMap<K, usize>, key: K, most: usize) -> bool {
    let mut entry = all.entry(key).or_insert(0);
    let free = *entry < most;
    *entry += usize::from(free);
    free
}

fn uncount<K: std::hash::Hash + Eq>(all: &DashMap<K, usize>, key: &K) {
    if let Some(mut entry) = all.get_mut(key) {
        *entry = entry.saturating_sub(1);
    }
    all.remove_if(key, |_, left| *left == 0);
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((all, address)) = &self.by_address {
            uncount(all, address);
        }
        uncount(&self.by_group.0, &self.by_group.1);
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does the client ask for a socket?
pub fn is_wanted(http: &actix_web::HttpRequest) -> bool {
    http.headers()
        .get("upgrade")
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim().eq_ignore_ascii_case("websocket"))
}

/// Answers the handshake. Not a handshake: 426.
pub fn accept(request: &mut Request) -> ApiResult<(Reply, Session, MessageStream)> {
    let required = || {
        ApiError::new(
            actix_web::http::StatusCode::UPGRADE_REQUIRED,
            "This address speaks the WebSocket protocol; use the status address otherwise",
        )
        .header(actix_web::http::header::UPGRADE, "websocket")
    };
    let Upgrade(payload) = request.upgrade.take().ok_or_else(required)?;
    let (reply, session, stream) = actix_ws::handle(&request.http, payload)
        .map_err(|e| ApiError::bad_request(format!("The handshake is broken: {e}")))?;
    Ok((reply, session, stream.max_frame_size(LONGEST)))
}

/// One side of an open socket that only ever sends.
pub struct Line {
    session: Session,
    stream: MessageStream,
    clock: Arc<dyn Clock>,
    ping: Duration,
    /// A ping was sent and nothing has come since.
    asked: bool,
    wake: futures_util::future::BoxFuture<'static, ()>,
    _place: Place,
}

/// Why a line is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client vanished; nothing is left to say.
    Gone,
    /// To be closed, with this code and for this reason.
    Close(CloseCode, &'static str),
}

impl Line {
    pub fn new(
        session: Session,
        stream: MessageStream,
        clock: Arc<dyn Clock>,
        ping: Duration,
        place: Place,
    ) -> Self {
        let wake = clock.sleep_until(clock.after(ping));
        Self {
            session,
            stream,
            clock,
            ping,
            asked: false,
            wake,
            _place: place,
        }
    }

    /// False if nobody hears any more.
    pub async fn say(&mut self, text: String) -> bool {
        self.session.text(text).await.is_ok()
    }

    /// Keeps the line alive until the client ends it. May be dropped and called again.
    pub async fn listen(&mut self) -> End {
        loop {
            tokio::select! {
                message = self.stream.next() => match message {
                    None => return End::Gone,
                    Some(Err(_)) => return End::Close(CloseCode::Protocol, "broken frame"),
                    Some(Ok(message)) => {
                        self.asked = false;
                        match message {
                            Message::Ping(bytes) => {
                                if self.session.pong(&bytes).await.is_err() {
                                    return End::Gone;
                                }
                            }
                            Message::Pong(_) | Message::Nop => {}
                            // closing is answered by closing (RFC 6455 §5.5.1)
                            Message::Close(_) => return End::Close(CloseCode::Normal, ""),
                            Message::Text(_) | Message::Binary(_) | Message::Continuation(_) => {
                                return End::Close(CloseCode::Unsupported, "nothing is expected here");
                            }
                        }
                    }
                },
                () = &mut self.wake => {
                    if self.asked {
                        return End::Close(SILENT, "no answer to a ping");
                    }
                    self.asked = true;
                    if self.session.ping(b"").await.is_err() {
                        return End::Gone;
                    }
                    self.wake = self.clock.sleep_until(self.clock.after(self.ping));
                }
            }
        }
    }

    /// Says why and hangs up.
    pub async fn close(self, code: CloseCode, reason: &str) {
        let reason = CloseReason {
            code,
            description: Some(reason.to_owned()),
        };
        // whoever is gone need not be told
        let _ = self.session.close(Some(reason)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let sockets = Sockets::new(2, 3, Duration::from_secs(30));
        let [a, b]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let first = sockets.enter(Some(a), "g").unwrap();
        let second = sockets.enter(Some(a), "g").unwrap();
        let full = sockets.enter(Some(a), "g").unwrap_err();
        assert_eq!(full.status.as_u16(), 429);
        let third = sockets.enter(Some(b), "g").unwrap();
        assert_eq!(
            sockets.enter(Some(b), "g").unwrap_err().status.as_u16(),
            503
        );
        let other = sockets.enter(None, "h").unwrap();
        assert_eq!(sockets.open(), 4);
        drop((first, other));
        drop(sockets.enter(Some(b), "g").unwrap());
        drop((second, third));
        assert_eq!(sockets.open(), 0);
        assert!(sockets.by_address.is_empty() && sockets.by_group.is_empty());
    }
}
