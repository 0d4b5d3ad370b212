//! WebSockets (RFC 6455): how many there may be, and keeping each of them alive.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_codec::{Decoder, Encoder};
pub use actix_http::ws::CloseCode;
use actix_http::ws::{self, CloseReason, Codec, Frame, HandshakeError, Message, ProtocolError};
use actix_web::HttpResponse;
use bytes::{Buf, BytesMut};
use dashmap::DashMap;
use tokio::io::{AsyncWriteExt, ReadBuf};
use ueauth_actors::Clock;

use crate::http::error::ApiResult;
use crate::http::upgrade::{Bare, Wire};
use crate::http::{ApiError, Reply, Request};

/// Longest message a client may send, in bytes. Nothing it sends is read.
const LONGEST: usize = 1024;
/// Most bytes that wait for a client to take them.
const UNSENT: usize = 65_536;
/// How long a client may take to hear that the line is closed, and to close it too.
const FAREWELL: Duration = Duration::from_secs(3);

/// Close codes of this server, from the range for private use (RFC 6455 §7.4.2).
pub const UNKNOWN: CloseCode = CloseCode::Other(4404);
pub const SILENT: CloseCode = CloseCode::Other(4408);

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

/// Answers the handshake; what `serve` makes of the line begins once the client has the answer.
/// Not a handshake: 426.
pub fn accept<F: Future<Output = ()> + 'static>(
    request: &Request,
    sockets: &Sockets,
    clock: Arc<dyn Clock>,
    place: Place,
    serve: impl FnOnce(Line) -> F + 'static,
) -> ApiResult<Reply> {
    let required = || {
        ApiError::new(
            actix_web::http::StatusCode::UPGRADE_REQUIRED,
            "This address speaks the WebSocket protocol, version 13; use the status address otherwise",
        )
        .header(actix_web::http::header::UPGRADE, "websocket")
    };
    let handover = request.handover.as_ref().ok_or_else(required)?;
    let mut reply = ws::handshake(request.http.head()).map_err(|cause| match cause {
        HandshakeError::UnsupportedVersion => {
            required().header(actix_web::http::header::SEC_WEBSOCKET_VERSION, "13")
        }
        broken => ApiError::bad_request(format!("The handshake is broken: {broken}")),
    })?;
    let ping = sockets.ping;
    handover.set(move |bare| serve(Line::new(bare, clock, ping, place)));
    Ok(HttpResponse::from(reply.finish().map_into_boxed_body()))
}

/// One side of an open socket that only ever sends.
pub struct Line {
    wire: Box<dyn Wire>,
    codec: Codec,
    /// Both are empty, and take no memory, while nothing happens.
    heard: BytesMut,
    unsent: BytesMut,
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
    fn new(bare: Bare, clock: Arc<dyn Clock>, ping: Duration, place: Place) -> Self {
        let wake = clock.sleep_until(clock.after(ping));
        Self {
            wire: bare.wire,
            codec: Codec::new().max_size(LONGEST),
            heard: bare.early,
            unsent: BytesMut::new(),
            clock,
            ping,
            asked: false,
            wake,
            _place: place,
        }
    }

    /// False if nobody hears any more. What can not be sent at once is sent while listening.
    pub async fn say(&mut self, text: String) -> bool {
        self.put(Message::Text(text.into())) && std::future::poll_fn(|cx| self.try_send(cx)).await
    }

    fn put(&mut self, message: Message) -> bool {
        self.unsent.len() < UNSENT && self.codec.encode(message, &mut self.unsent).is_ok()
    }

    fn try_send(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        Poll::Ready(!matches!(self.poll_send(cx), Poll::Ready(Err(_))))
    }

    /// Ready when nothing is left to send.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut *self.wire).poll_write(cx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
        }
        self.unsent = BytesMut::new();
        Pin::new(&mut *self.wire).poll_flush(cx)
    }

    /// The next frame, while sending what is left.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, End>> {
        if let Poll::Ready(Err(_)) = self.poll_send(cx) {
            return Poll::Ready(Err(End::Gone));
        }
        loop {
            match self.codec.decode(&mut self.heard) {
                Ok(Some(frame)) => return Poll::Ready(Ok(frame)),
                Ok(None) => {}
                Err(ProtocolError::Overflow) => {
                    return Poll::Ready(Err(End::Close(CloseCode::Size, "too long")));
                }
                Err(_) => {
                    return Poll::Ready(Err(End::Close(CloseCode::Protocol, "broken frame")));
                }
            }
            if self.heard.is_empty() {
                self.heard = BytesMut::new();
            }
            let mut bytes = [0; LONGEST];
            let mut space = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(&mut *self.wire).poll_read(cx, &mut space));
            if read.is_err() || space.filled().is_empty() {
                return Poll::Ready(Err(End::Gone));
            }
            self.heard.extend_from_slice(space.filled());
        }
    }

    /// Keeps the line alive until the client ends it. May be dropped and called again.
    pub async fn listen(&mut self) -> End {
        loop {
            let next = std::future::poll_fn(|cx| match self.poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Some(frame)),
                Poll::Pending => self.wake.as_mut().poll(cx).map(|()| None),
            });
            let frame = next.await;
            let said = match frame {
                Some(Ok(frame)) => {
                    self.asked = false;
                    match frame {
                        Frame::Ping(bytes) => self.put(Message::Pong(bytes)),
                        Frame::Pong(_) => true,
                        // closing is answered by closing (RFC 6455 §5.5.1)
                        Frame::Close(_) => return End::Close(CloseCode::Normal, ""),
                        Frame::Text(_) | Frame::Binary(_) | Frame::Continuation(_) => {
                            return End::Close(CloseCode::Unsupported, "nothing is expected here");
                        }
                    }
                }
                Some(Err(end)) => return end,
                None if self.asked => return End::Close(SILENT, "no answer to a ping"),
                None => {
                    self.asked = true;
                    self.wake = self.clock.sleep_until(self.clock.after(self.ping));
                    self.put(Message::Ping(bytes::Bytes::new()))
                }
            };
            if !said {
                return End::Gone;
            }
        }
    }

    /// Says why and hangs up.
    pub async fn close(mut self, code: CloseCode, reason: &str) {
        let reason = CloseReason {
            code,
            description: Some(reason.to_owned()),
        };
        let clock = Arc::clone(&self.clock);
        let farewell = async {
            if self
                .codec
                .encode(Message::Close(Some(reason)), &mut self.unsent)
                .is_err()
            {
                return;
            }
            // whoever is gone need not be told
            let told = std::future::poll_fn(|cx| self.poll_send(cx)).await.is_ok();
            if !told || self.wire.shutdown().await.is_err() {
                return;
            }
            // with unread words left, hanging up would take the reason away from the client
            let _ = tokio::io::copy(&mut self.wire, &mut tokio::io::sink()).await;
        };
        tokio::select! {
            () = farewell => {}
            () = clock.sleep_until(clock.after(FAREWELL)) => {}
        }
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
