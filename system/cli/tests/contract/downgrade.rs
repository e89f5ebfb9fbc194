//! Maintenance.Downgrade: what it refuses, in etcd's words. There is no build of Quorate yet to go back
//! to, so nothing is allowed here; etcd 3.7 goes back to 3.6.

use crate::harness::api::DowngradeRequest;
use crate::harness::api::downgrade_request::DowngradeAction::{self, Cancel, Enable, Validate};
use crate::harness::*;

async fn ask(
    client: &Client,
    action: DowngradeAction,
    version: &str,
) -> Result<String, tonic::Status> {
    let request = DowngradeRequest { action: action as i32, version: version.to_owned() };
    client.maintenance().downgrade(request).await.map(|answer| answer.into_inner().version)
}

#[tokio::test]
async fn c67_a_downgrade_is_refused_in_etcds_words() {
    let cluster = Cluster::three(&[]).await;
    let client = cluster.client().await;
    let format = "etcdserver: wrong downgrade target version format";
    let target = "etcdserver: invalid downgrade target version";
    for action in [Validate, Enable] {
        for wrong in ["", "3", "latest", "3.a", "3.6.0.0"] {
            refused(ask(&client, action, wrong).await, Code::InvalidArgument, format);
        }
        for invalid in ["9.9.0", "9.9", "3.7.0", "2.0.0", "3.5.0"] {
            refused(ask(&client, action, invalid).await, Code::InvalidArgument, target);
        }
    }
    let none = "etcdserver: no inflight downgrade job";
    refused(ask(&client, Cancel, "").await, Code::FailedPrecondition, none);
    for member in 0..cluster.size() {
        let status = cluster.client_of(member).await.status().await.unwrap();
        assert!(!status.downgrade_info.unwrap().enabled);
    }
    if Kind::current() == Kind::Quorate {
        // Its own build is not older, the one before knows of no downgrades, and etcd's are none.
        for version in ["0.1.0+3", "0.1.0+2", "0.1.0+9", "0.1.0", "3.6.0", "3.6"] {
            refused(ask(&client, Enable, version).await, Code::InvalidArgument, target);
        }
    } else {
        assert_eq!(ask(&client, Validate, "3.6.0").await.unwrap(), "3.7");
    }
}
