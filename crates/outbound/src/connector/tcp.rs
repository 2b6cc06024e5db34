//! Connects to one of several addresses, by way of a proxy or without: in turn, each within its share of the time that is left,
//! so that one that swallows everything does not keep the others from being tried.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Error;
use crate::egress::Proxy;

/// How many addresses of one name are tried: whoever owns the name chooses how many it has.
const MAX_TRIED: usize = 8;

/// The first of the addresses that takes a connection, or why the last one did not.
pub async fn connect(
    addresses: &[SocketAddr],
    proxy: Option<&Proxy>,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), Error> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut outcome = Err(Error::NotResolved(none()));
    let mut left = u32::try_from(addresses.len().min(MAX_TRIED)).unwrap_or(u32::MAX);
    for &address in addresses.iter().take(MAX_TRIED) {
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        left -= 1;
        outcome = match timeout(share, one(address, proxy)).await {
            Ok(Ok(tcp)) => return Ok((tcp, address)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::TimedOut),
        };
    }
    outcome
}

/// Without Nagle's algorithm, which waits for more where there is no more.
async fn one(address: SocketAddr, proxy: Option<&Proxy>) -> Result<TcpStream, Error> {
    if let Some(proxy) = proxy {
        return proxy.connect(address).await.map_err(Error::Proxy);
    }
    let tcp = TcpStream::connect(address).await.map_err(Error::Connect)?;
    tcp.set_nodelay(true).map_err(Error::Connect)?;
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::sender::tests::black_hole;

    async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn an_address_that_refuses_and_one_that_is_silent_leave_time_for_the_next() {
        let (hole, _held) = black_hole().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [refusing().await, hole, good.local_addr().unwrap()];
        let deadline = Instant::now() + Duration::from_secs(2);
        let (tcp, address) = connect(&addresses, None, deadline).await.unwrap();
        assert_eq!(address, addresses[2]);
        assert!(tcp.nodelay().unwrap());
    }

    #[tokio::test]
    async fn where_none_takes_a_connection_the_last_one_says_why() {
        let deadline = Instant::now() + Duration::from_millis(200);
        let (hole, _held) = black_hole().await;
        let refusing = refusing().await;
        let last =
            async |addresses: &[SocketAddr]| connect(addresses, None, deadline).await.unwrap_err();
        assert!(matches!(last(&[hole, refusing]).await, Error::Connect(_)));
        assert!(matches!(last(&[refusing, hole]).await, Error::TimedOut));
        assert!(matches!(last(&[]).await, Error::NotResolved(_)));
    }
}
