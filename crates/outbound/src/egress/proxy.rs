//! A proxy that opens connections for us (HTTP CONNECT, RFC 9110, section 9.3.6).
//!
//! It is handed an address that was resolved and checked here, never a name: what a name means to the
//! proxy could be something else. Who the proxy itself is, the operator says, and it is not checked.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Position, Url};

/// How long its answer may be, in bytes.
const HEAD_LIMIT: usize = 8 * 1024;

/// Where the proxy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its host and port.
    address: String,
}

/// Why the proxy opened no connection.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It cannot be reached, or is no proxy.
    #[error("the proxy cannot be used")]
    Unusable(#[from] io::Error),
    /// It answers that it will or can not.
    #[error("the proxy answers {0}")]
    Refused(u16),
}

impl FromStr for Proxy {
    type Err = &'static str;

    /// No error repeats the text: it may have a password.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| "it is no URL, as http://host:port is one")?;
        if url.scheme() != "http" || url.path() != "/" || url.query().is_some() {
            return Err("it is more than the address of a proxy, as http://host:port is one");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("credentials for the proxy are not supported");
        }
        let port = url.port_or_known_default().unwrap_or(80);
        let host = &url[Position::BeforeHost..Position::AfterHost];
        Ok(Self {
            address: format!("{host}:{port}"),
        })
    }
}

impl Proxy {
    /// A connection to that address, through the proxy.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self, to: SocketAddr) -> Result<TcpStream, ProxyError> {
        let mut tcp = TcpStream::connect(&*self.address).await?;
        tcp.set_nodelay(true)?;
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        tcp.write_all(request.as_bytes()).await?;
        match status(&head(&mut tcp).await?) {
            Some(200..=299) => Ok(tcp),
            Some(status) => Err(ProxyError::Refused(status)),
            None => Err(unusable("it answers with what is no HTTP").into()),
        }
    }
}

/// Byte by byte, once a connection: what follows the head is the receiver's, and not to be read here.
async fn head(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == HEAD_LIMIT {
            return Err(unusable("its answer has no end"));
        }
        head.push(tcp.read_u8().await?);
    }
    Ok(head)
}

fn status(head: &[u8]) -> Option<u16> {
    let line = str::from_utf8(head.split(|&byte| byte == b'\r').next()?).ok()?;
    let mut words = line.strip_prefix("HTTP/1.")?.split(' ').skip(1);
    let status = words.next().filter(|status| status.len() == 3)?;
    status.parse().ok()
}

fn unusable(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        for (text, address) in [
            ("http://proxy:3128", "proxy:3128"),
            ("http://proxy", "proxy:80"),
            ("http://[::1]:3128/", "[::1]:3128"),
        ] {
            assert_eq!(text.parse::<Proxy>().unwrap().address, address);
        }
        for text in [
            "proxy:3128",
            "https://proxy",
            "socks5://proxy",
            "http://proxy/a",
            "proxy",
            "",
        ] {
            let error = text.parse::<Proxy>().unwrap_err();
            assert!(error.contains("http://host:port"), "{error}");
        }
        let error = "http://me:secret@proxy:3128".parse::<Proxy>().unwrap_err();
        assert!(error.contains("not supported") && !error.contains("secret"));
    }

    #[test]
    fn a_status_is_read_from_the_first_line_alone() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 200\r\n\r\n", Some(200)),
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\nHTTP/1.1 200\r\n\r\n",
                Some(407),
            ),
            ("HTTP/1.1 2000 OK\r\n\r\n", None),
            ("HTTP/2 200\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
            ("\r\n\r\n", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head:?}");
        }
    }
}
