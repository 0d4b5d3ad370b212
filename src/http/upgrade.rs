//! Connections that leave HTTP behind (RFC 9110 §7.8). A request for that passes through the
//! application like every other; whatever answers it may take over the bare connection, which then
//! costs no more than its own state: HTTP keeps 16 kB for each.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_codec::{AsyncRead, AsyncWrite, Encoder, Framed};
use actix_http::body::{self, BodySize, BoxBody};
use actix_http::h1::{Codec, Message};
use actix_http::{ConnectionType, HttpMessage, Request, Response, StatusCode};
use actix_service::boxed::{self, BoxServiceFactory};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service};
use bytes::BytesMut;
use futures_util::future::LocalBoxFuture;
use tokio::io::AsyncWriteExt;

/// How long a client may take to accept an answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub trait Wire: AsyncRead + AsyncWrite + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Wire for T {}

/// A connection and what was read of it already.
pub struct Bare {
    pub wire: Box<dyn Wire>,
    pub early: BytesMut,
}

type Takeover = Box<dyn FnOnce(Bare) -> LocalBoxFuture<'static, ()>>;

/// Where whatever answers such a request leaves what happens to the connection afterwards.
#[derive(Clone, Default)]
pub struct Handover(Rc<Cell<Option<Takeover>>>);

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handover")
    }
}

impl Handover {
    pub fn set<F: Future<Output = ()> + 'static>(
        &self,
        takeover: impl FnOnce(Bare) -> F + 'static,
    ) {
        let takeover: Takeover = Box::new(|bare| Box::pin(takeover(bare)));
        self.0.set(Some(takeover));
    }
}

/// What serves requests for another protocol on one kind of connection.
pub type Upgrades<T> =
    BoxServiceFactory<(), (Request, Framed<T, Codec>), (), actix_http::Error, ()>;

/// Serves requests for another protocol by the application.
pub fn upgrades<T, F>(application: F) -> Upgrades<T>
where
    T: Wire,
    F: ServiceFactory<Request, Config = ()> + 'static,
    F::Response: Into<Response<BoxBody>>,
    F::Error: Into<Response<BoxBody>>,
    F::InitError: std::fmt::Debug,
    F::Service: 'static,
{
    let application = Rc::new(application);
    boxed::factory(fn_factory(move || {
        let application = Rc::clone(&application);
        async move {
            let service = application.new_service(()).await.map_err(|_| ())?;
            let service = Rc::new(service);
            Ok::<_, ()>(fn_service(move |(request, framed)| {
                let service = Rc::clone(&service);
                async move {
                    serve(&*service, request, framed).await;
                    Ok(())
                }
            }))
        }
    }))
}

async fn serve<T, S>(service: &S, request: Request, framed: Framed<T, Codec>)
where
    T: Wire,
    S: Service<Request>,
    S::Response: Into<Response<BoxBody>>,
    S::Error: Into<Response<BoxBody>>,
{
    let handover = Handover::default();
    request.extensions_mut().insert(handover.clone());
    let answer = match service.call(request).await {
        Ok(answer) => answer.into(),
        Err(cause) => cause.into(),
    };
    let mut parts = framed.into_parts();
    let takeover = handover
        .0
        .take()
        .filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS);
    let Some(out) = encode(&mut parts.codec, answer).await else {
        return;
    };
    let mut wire = parts.io;
    let sent = tokio::time::timeout(PATIENCE, async {
        wire.write_all(&out).await?;
        match takeover {
            Some(_) => wire.flush().await,
            None => wire.shutdown().await,
        }
    });
    if !matches!(sent.await, Ok(Ok(()))) {
        return;
    }
    if let Some(takeover) = takeover {
        let bare = Bare {
            wire: Box::new(wire),
            // its own buffer is as large as a request may be
            early: BytesMut::from(parts.read_buf.as_ref()),
        };
        drop((parts.read_buf, parts.write_buf, out));
        takeover(bare).await;
    }
}

/// The answer as it is sent. Unless it switches protocols, it is the connection's last.
async fn encode(codec: &mut Codec, answer: Response<BoxBody>) -> Option<BytesMut> {
    let mut body = BoxBody::new(());
    let mut answer = answer.map_body(|_, sent| body = sent);
    let mut out = BytesMut::new();
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let head = Message::Item((answer, BodySize::None));
        codec.encode(head, &mut out).ok()?;
        return Some(out);
    }
    let body = body::to_bytes(body).await.ok()?;
    answer.head_mut().set_connection_type(ConnectionType::Close);
    let size = BodySize::Sized(u64::try_from(body.len()).ok()?);
    codec.encode(Message::Item((answer, size)), &mut out).ok()?;
    codec.encode(Message::Chunk(Some(body)), &mut out).ok()?;
    codec.encode(Message::Chunk(None), &mut out).ok()?;
    Some(out)
}
