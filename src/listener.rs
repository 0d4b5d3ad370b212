//! Where connections come in: TCP, TCP with TLS, or a socket in the file system.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::h1::ExpectHandler;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server as Running};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::AppConfig;
use actix_web::{App as Actix, web};
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::http::upgrade::{Upgrades, Wire, upgrades};
use crate::serve::{ServeError, Server, dispatch};
use crate::settings::{Listen, Settings};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long a client may take to send the head of a request, and to hang up.
const HEAD: Duration = Duration::from_secs(5);
const HANG_UP: Duration = Duration::from_secs(1);

/// Begins to accept connections; they are served until `stop` ends.
pub fn start(
    server: Arc<Server>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(Running, Vec<SocketAddr>), ServeError> {
    let app = Arc::clone(&server.app);
    let settings = &app.settings;
    let data = web::Data::new(server);
    let mut running = Running::build()
        .workers(workers(settings))
        .shutdown_timeout(settings.server.shutdown_seconds)
        .shutdown_signal(stop);
    let ending = running.graceful_shutdown_signal();
    let listen = &settings.server.listen;
    let failed = |source| ServeError::Listen {
        address: listen.to_string(),
        source,
    };
    let mut addresses = Vec::new();
    match (listen, &settings.tls.certificate, &settings.tls.key) {
        (Listen::Unix(path), _, _) => {
            let serve = move || {
                fn_service(async |wire: UnixStream| Ok((wire, Protocol::Http1, None)))
                    .and_then(service::<UnixStream>(data.clone(), ending.clone()))
            };
            running = running.bind_uds("http", path, serve).map_err(failed)?;
        }
        (Listen::Tcp { host, port }, Some(certificate), Some(key)) => {
            let tls = tls(certificate, key)?;
            for listener in bind(host, *port).map_err(failed)? {
                addresses.push(listener.local_addr().map_err(failed)?);
                let (data, ending, tls) = (data.clone(), ending.clone(), tls.clone());
                let serve = move || {
                    service::<TlsStream<TcpStream>>(data.clone(), ending.clone())
                        .rustls_0_23(tls.clone())
                };
                running = running.listen("https", listener, serve).map_err(failed)?;
            }
        }
        (Listen::Tcp { host, port }, None, None) => {
            for listener in bind(host, *port).map_err(failed)? {
                addresses.push(listener.local_addr().map_err(failed)?);
                let (data, ending) = (data.clone(), ending.clone());
                let serve = move || service::<TcpStream>(data.clone(), ending.clone()).tcp();
                running = running.listen("http", listener, serve).map_err(failed)?;
            }
        }
        _ => return Err(ServeError::Tls("give both or none".to_owned())),
    }
    Ok((running.run(), addresses))
}

/// Every address that the name has and that is free.
fn bind(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut bound = Vec::new();
    for address in (host, port).to_socket_addrs()? {
        match bind_one(address) {
            Ok(listener) => bound.push(listener),
            Err(cause) => failed = cause,
        }
    }
    if bound.is_empty() {
        Err(failed)
    } else {
        Ok(bound)
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// HTTP on one kind of connection.
#[expect(clippy::type_complexity, reason = "services have no shorter names")]
fn service<T: Wire>(
    data: web::Data<Arc<Server>>,
    ending: GracefulShutdownSignal,
) -> HttpService<
    T,
    impl ServiceFactory<
        Request,
        Config = (),
        Response: Into<Response<BoxBody>> + 'static,
        Error: Into<Response<BoxBody>> + 'static,
        InitError: std::fmt::Debug,
        Future: 'static,
        Service: Service<Request, Future: 'static> + 'static,
    > + 'static,
    BoxBody,
    ExpectHandler,
    Upgrades<T>,
> {
    HttpService::build()
        .graceful_shutdown_signal(move || {
            let ending = ending.clone();
            async move { ending.notified().await }
        })
        .client_request_timeout(HEAD)
        .client_disconnect_timeout(HANG_UP)
        .tcp_nodelay(true)
        .upgrade(upgrades(application(data.clone())))
        .finish(application(data))
}

fn application(
    data: web::Data<Arc<Server>>,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response: Into<Response<BoxBody>> + 'static,
    Error = Response<BoxBody>,
    InitError: std::fmt::Debug,
    Future: 'static,
    Service: Service<Request, Future: 'static> + 'static,
> + 'static {
    let application = Actix::new()
        .app_data(data)
        .default_service(web::to(dispatch))
        .into_factory()
        .map_err(|cause: actix_web::Error| cause.error_response().into());
    map_config(application, |()| AppConfig::default())
}

fn workers(settings: &Settings) -> usize {
    match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

fn tls(
    certificate: &std::path::Path,
    key: &std::path::Path,
) -> Result<rustls::ServerConfig, ServeError> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let broken = |e: &dyn std::fmt::Display| ServeError::Tls(e.to_string());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(std::iter::Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| broken(&e))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| broken(&e))?;
    rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|e| broken(&e))?
    .with_no_client_auth()
    .with_single_cert(chain, key)
    .map_err(|e| broken(&e))
}
