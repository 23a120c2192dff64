//! Who asks, and how a row is asked.

use kube::Client;
use serde_json::Value;

use super::control_plane::ControlPlane;
use super::table::{Row, Said};

/// Those who ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The operator's account.
    Operator,
    /// The token of Pod gw-1, an instance of net/egress.
    Agent,
    /// The token of Pod gw-2, another instance of it.
    OtherAgent,
    /// A token of the same account that is bound to no Pod.
    UnboundAgent,
    /// Role `view` in namespace tenants.
    Viewer,
    /// Role `edit` in namespace tenants.
    Tenant,
    /// Role `edit` in namespace net, where the gateways are.
    Neighbour,
    /// Role `sluice-gateway-admin` in namespace net, and of all pools.
    GatewayAdmin,
    /// The same, and `sluice-break-glass`.
    Breaker,
    /// Group system:masters.
    Master,
    /// The controller that empties namespaces.
    NamespaceController,
}

impl Who {
    pub const ALL: [Self; 11] = [
        Self::Operator,
        Self::Agent,
        Self::OtherAgent,
        Self::UnboundAgent,
        Self::Viewer,
        Self::Tenant,
        Self::Neighbour,
        Self::GatewayAdmin,
        Self::Breaker,
        Self::Master,
        Self::NamespaceController,
    ];

    /// The user that the administrator asks as; none for those with tokens of their own.
    fn impersonated(self) -> Option<&'static str> {
        match self {
            Self::Viewer => Some("viewer"),
            Self::Tenant => Some("tenant"),
            Self::Neighbour => Some("neighbour"),
            Self::GatewayAdmin => Some("gateway-admin"),
            Self::Breaker => Some("breaker"),
            Self::NamespaceController => {
                Some("system:serviceaccount:kube-system:namespace-controller")
            }
            Self::Operator | Self::Agent | Self::OtherAgent | Self::UnboundAgent | Self::Master => {
                None
            }
        }
    }
}

/// Clients of all who ask.
pub struct Cast<'a> {
    plane: &'a ControlPlane,
    pub master: Client,
    pub operator: Client,
    agents: [Client; 3],
}

impl<'a> Cast<'a> {
    /// `tokens`: of the agent, the other agent, and of no Pod.
    pub async fn new(plane: &'a ControlPlane, tokens: [&str; 3]) -> Self {
        let [agent, other, unbound] = tokens;
        Self {
            plane,
            master: plane.client("admin").await,
            operator: plane.client("operator").await,
            agents: [
                plane.client(agent).await,
                plane.client(other).await,
                plane.client(unbound).await,
            ],
        }
    }

    fn client(&self, who: Who) -> &Client {
        let [agent, other, unbound] = &self.agents;
        match who {
            Who::Operator => &self.operator,
            Who::Agent => agent,
            Who::OtherAgent => other,
            Who::UnboundAgent => unbound,
            _ => &self.master,
        }
    }

    /// What the API server says to a row. Nothing is changed by it.
    pub async fn ask(&self, row: &Row) -> Said {
        let live = match row.verb {
            "update" => self.live(row).await,
            _ => Value::Null,
        };
        let (method, path, content, body) = row.request(live);
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", content);
        if let Some(user) = row.who.impersonated() {
            request = request
                .header("impersonate-user", user)
                .header("impersonate-group", "system:authenticated");
        }
        let request = request.body(body).unwrap();
        match self.client(row.who).request::<Value>(request).await {
            Ok(_) => Said::Done,
            Err(kube::Error::Api(status)) => Said::Refused(status.code, status.message.clone()),
            Err(error) => panic!("{row}: {error}"),
        }
    }

    async fn live(&self, row: &Row) -> Value {
        let resource = row.resource.split('/').next().unwrap();
        self.plane
            .get(resource, row.namespace, row.name)
            .unwrap_or_else(|| panic!("{row}: there is no such object to update"))
    }
}
