//! What one signature costs, by the algorithm and by how long the event is.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use signature::{Signer, SigningKey};

/// Keys of each algorithm that are those of test vectors.
const KEYS: [(&str, &str); 2] = [
    ("HMAC-SHA256", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    (
        "Ed25519",
        "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=",
    ),
];

/// The lengths of events, in bytes: most, and the longest there are.
const LENGTHS: [u32; 3] = [400, 4096, 65_536];

const TIMESTAMP: i64 = 1_614_265_330;

fn sign(c: &mut Criterion) {
    let mut group = c.benchmark_group("sign");
    for (algorithm, key) in KEYS {
        let key: SigningKey = key.parse().expect("it is a key");
        let signer = Signer::new([(key, None)]);
        for length in LENGTHS {
            let body = vec![b'x'; usize::try_from(length).unwrap_or_default()];
            group.throughput(Throughput::Bytes(length.into()));
            group.bench_with_input(BenchmarkId::new(algorithm, length), &body, |b, body| {
                b.iter(|| signer.sign("event-1", TIMESTAMP, black_box(body)));
            });
        }
    }
    group.finish();
}

criterion_group!(signing, sign);
criterion_main!(signing);
