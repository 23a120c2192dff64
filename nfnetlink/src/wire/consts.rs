//! Numbers of the netlink base protocol.

/// Data attribute flag: the payload is a list of attributes (`linux/netlink.h`).
pub const NLA_F_NESTED: u16 = 1 << 15;
/// Data attribute flag: the payload is in network byte order (`linux/netlink.h`).
pub const NLA_F_NET_BYTEORDER: u16 = 1 << 14;
/// The bits of an attribute's type that are its number (`linux/netlink.h`).
pub const NLA_TYPE_MASK: u16 = !(NLA_F_NESTED | NLA_F_NET_BYTEORDER);

/// The message is a request (`linux/netlink.h`).
pub const NLM_F_REQUEST: u16 = 0x01;
/// Acknowledge also success (`linux/netlink.h`).
pub const NLM_F_ACK: u16 = 0x04;
/// Send what the request changed back to the requester (`linux/netlink.h`).
pub const NLM_F_ECHO: u16 = 0x08;
/// Set by the kernel when objects changed during a dump (`linux/netlink.h`).
pub const NLM_F_DUMP_INTR: u16 = 0x10;
/// Ask for all objects (`linux/netlink.h`: `NLM_F_ROOT | NLM_F_MATCH`).
pub const NLM_F_DUMP: u16 = 0x300;
/// Replace the existing object (`linux/netlink.h`).
pub const NLM_F_REPLACE: u16 = 0x100;
/// Fail if the object exists (`linux/netlink.h`).
pub const NLM_F_EXCL: u16 = 0x200;
/// Create the object if it does not exist (`linux/netlink.h`).
pub const NLM_F_CREATE: u16 = 0x400;
/// Add to the end of the list (`linux/netlink.h`).
pub const NLM_F_APPEND: u16 = 0x800;
/// In an acknowledgement: only the header of the request follows (`linux/netlink.h`).
pub const NLM_F_CAPPED: u16 = 0x100;
/// In an acknowledgement: extended attributes follow (`linux/netlink.h`).
pub const NLM_F_ACK_TLVS: u16 = 0x200;

/// Nothing (`linux/netlink.h`).
pub const NLMSG_NOOP: u16 = 1;
/// An error, or with code 0 an acknowledgement (`linux/netlink.h`).
pub const NLMSG_ERROR: u16 = 2;
/// The end of a dump (`linux/netlink.h`).
pub const NLMSG_DONE: u16 = 3;

/// Extended acknowledgement: text (`linux/netlink.h`).
pub const NLMSGERR_ATTR_MSG: u16 = 1;
/// Extended acknowledgement: offset of the refused attribute (`linux/netlink.h`).
pub const NLMSGERR_ATTR_OFFS: u16 = 2;

/// First message of a batch (`linux/netfilter/nfnetlink.h`).
pub const NFNL_MSG_BATCH_BEGIN: u16 = 16;
/// Last message of a batch (`linux/netfilter/nfnetlink.h`).
pub const NFNL_MSG_BATCH_END: u16 = 17;
/// The generation that a batch is meant for (`linux/netfilter/nfnetlink.h`).
pub const NFNL_BATCH_GENID: u16 = 1;
/// Subsystem of conntrack (`linux/netfilter/nfnetlink.h`).
pub const NFNL_SUBSYS_CTNETLINK: u16 = 1;
/// Subsystem of nf_tables (`linux/netfilter/nfnetlink.h`).
pub const NFNL_SUBSYS_NFTABLES: u16 = 10;

/// Bytes of `struct nlmsghdr` (`linux/netlink.h`).
pub const NLMSG_HDRLEN: usize = 16;
/// Bytes of `struct nfgenmsg` (`linux/netfilter/nfnetlink.h`).
pub const NFGENMSG_LEN: usize = 4;
/// Bytes of `struct nlattr` (`linux/netlink.h`).
pub const NLA_HDRLEN: usize = 4;
