//! Frames of public captures (their first octets) and what tshark 4 says of them: VLAN ids, the innermost addresses,
//! ports, protocol and IP length. Names of the files as in their repositories; the tunnels are read off
//! `frame.protocols`.

pub(super) struct Vector {
    pub name: &'static str,
    pub link: u16,
    pub wire_len: u32,
    pub frame: &'static str,
    pub vlan: [Option<u16>; 2],
    pub tunnels: &'static [&'static str],
    pub source: &'static str,
    pub destination: &'static str,
    pub protocol: u8,
    pub ports: Option<(u16, u16)>,
    pub length: u32,
}

pub(super) const VECTORS: &[Vector] = &[
    // tls_sgt.pcap, frame 1
    Vector {
        name: "Cisco MetaData",
        link: 1,
        wire_len: 511,
        frame: "242a04601b9e74a2e6259ac089090101000100020800450001e95ff840003d068e570a0101964064\
            01c5999001bba016404a31be9904801801f6633a00000101080a328049ba",
        vlan: [None, None],
        tunnels: &[],
        source: "10.1.1.150",
        destination: "64.100.1.197",
        protocol: 6,
        ports: Some((39312, 443)),
        length: 489,
    },
    // various_gre.pcap, frame 25
    Vector {
        name: "VLAN, GRE with key, Cisco MetaData",
        link: 1,
        wire_len: 154,
        frame: "aabbcc000200aabbcc000100810004bd08004500008800910000ff2f25510aac40060aac40072000\
            89090000002808000101000100004500006400050000ff016104ac110136ac110137080064fe0001\
            000000000000000c193f",
        vlan: [Some(1213), None],
        tunnels: &["gre"],
        source: "172.17.1.54",
        destination: "172.17.1.55",
        protocol: 1,
        ports: None,
        length: 100,
    },
    // gre_sip.pcapng, frame 1
    Vector {
        name: "two VLAN tags, PPPoE, PPTP",
        link: 1,
        wire_len: 506,
        frame: "000000000001a4dcbe02e6318100009b8100000188641100837a01de0021450001dc430c0000732f\
            4d9dc0c8902a559a0ebd3001880b01bcb35c000074a1ff030021450001b8feae400034116dd5d453\
            b300c0c8909413e913c401a4a3054f5054494f4e53207369703a31303040",
        vlan: [Some(155), Some(1)],
        tunnels: &["pppoe", "gre"],
        source: "212.83.179.0",
        destination: "192.200.144.148",
        protocol: 17,
        ports: Some((5097, 5060)),
        length: 440,
    },
    // gre_sip.pcapng, frame 2
    Vector {
        name: "VLAN, PPTP",
        link: 1,
        wire_len: 955,
        frame: "0000000000029c37f47c6e918100008e0800450003a9061a00003d2fb4a00ab162546d69e4fd3081\
            880b0385016b0000008c00000069ff03002145a00381019a00003f1182e7c0a86728c0a80ad213c4\
            13c4036d2acc494e56495445207369703a323731",
        vlan: [Some(142), None],
        tunnels: &["gre"],
        source: "192.168.103.40",
        destination: "192.168.10.210",
        protocol: 17,
        ports: Some((5060, 5060)),
        length: 897,
    },
    // decode-erspan-typeIII-01.pcap, frame 1
    Vector {
        name: "ERSPAN III",
        link: 1,
        wire_len: 108,
        frame: "0002ac1000020002ac10000108004500005e00000000402f224eac100001ac100002100022eb0000\
            000020000000000000000000000000020a0a0a0a0002c0a8090a0800450000280000000040069d0a\
            c0a8090a0a0a0a0a571d005000000001000000005002ffff7aae0000",
        vlan: [None, None],
        tunnels: &["erspan"],
        source: "192.168.9.10",
        destination: "10.10.10.10",
        protocol: 6,
        ports: Some((22301, 80)),
        length: 40,
    },
    // geneve-47101.pcap, frame 1
    Vector {
        name: "Geneve",
        link: 1,
        wire_len: 124,
        frame: "00000000000000000000000008004500006ee5de40004011569e7f0000017f000001b7fd17c1005a\
            0000000065580010920038437dc8788e50eb7147dfc408004500003c455040003f065fe5c0a8006b\
            9128444bb1a201bb849cf0cd00000000a002faf0df390000020405b40402080a227a8c0c00000000\
            01030307",
        vlan: [None, None],
        tunnels: &["geneve"],
        source: "192.168.0.107",
        destination: "145.40.68.75",
        protocol: 6,
        ports: Some((45474, 443)),
        length: 60,
    },
    // mixed-vlan-mpls.pcap, frame 1
    Vector {
        name: "MPLS",
        link: 1,
        wire_len: 62,
        frame: "003096e6fc3900309605283888470001ddff45c0002c00000000ff06a4e70a0102010a2200012af9\
            001798320ffb0000000060021020a240000002040218",
        vlan: [None, None],
        tunnels: &["mpls"],
        source: "10.1.2.1",
        destination: "10.34.0.1",
        protocol: 6,
        ports: Some((11001, 23)),
        length: 44,
    },
    // mixed-vlan-mpls.pcap, frame 34
    Vector {
        name: "VLAN with trailer",
        link: 1,
        wire_len: 100,
        frame: "0010f3021c000001d77ecc0581000ffd08004500003c02c54000ff0614d30a1450010a00000fc4a7\
            0050f374ecbe00000000a002168086a30000020405a00402080ab28bef1500000000010303070114\
            0000000100000000000000000000000000000000",
        vlan: [Some(4093), None],
        tunnels: &[],
        source: "10.20.80.1",
        destination: "10.0.0.15",
        protocol: 6,
        ports: Some((50343, 80)),
        length: 60,
    },
    // linux_dlt_sll2.pcap, frame 1
    Vector {
        name: "cooked v2",
        link: 276,
        wire_len: 104,
        frame: "080000000000000103040006000000000000000045000054af8c40004001071ac0000201c0000201\
            080066b400080001e9bdf96200000000e24e0d00",
        vlan: [None, None],
        tunnels: &[],
        source: "192.0.2.1",
        destination: "192.0.2.1",
        protocol: 1,
        ports: None,
        length: 84,
    },
    // pppoe_double_vlan_tagging.pcap, frame 42
    Vector {
        name: "two VLAN tags, PPPoE",
        link: 1,
        wire_len: 90,
        frame: "002333ee3dd3000c294ec500810005798100019188641100017f003e00214500003ca8c740003f06\
            c5c001010181c0a80a0a13c6005037a224c600000000a002ff0037490000020405500402080a1d44\
            b7230000000001030307",
        vlan: [Some(1401), Some(401)],
        tunnels: &["pppoe"],
        source: "1.1.1.129",
        destination: "192.168.10.10",
        protocol: 6,
        ports: Some((5062, 80)),
        length: 60,
    },
    // ipip.pcap, frame 2
    Vector {
        name: "IP in IP",
        link: 1,
        wire_len: 707,
        frame: "005056bb260c7ce2ca5a84000800450002b5000000000704162f0a0fc4e50a0fc213450002a111ca\
            00003e06cde80a0fc11f0a0fc567814513e227458e7c7d9e8aaf801800245fd500000101080aa864",
        vlan: [None, None],
        tunnels: &["ipip"],
        source: "10.15.193.31",
        destination: "10.15.197.103",
        protocol: 6,
        ports: Some((33093, 5090)),
        length: 673,
    },
    // 4in6tunnel.pcap, frame 1
    Vector {
        name: "IPv4 in IPv6",
        link: 1,
        wire_len: 154,
        frame: "000102ba768e00000049f48786dd600000000034043f22e01685eda738cc58bdf3f1aa3f22d8344a\
            ba94152aac34000000000000002a450000347bf040007f06ab1fc0a800010a0a0a01fbc701bbdfe1\
            3e82000000008002ffff7ea5000002040584010303080101040200000000",
        vlan: [None, None],
        tunnels: &["4in6"],
        source: "192.168.0.1",
        destination: "10.10.10.1",
        protocol: 6,
        ports: Some((64455, 443)),
        length: 52,
    },
    // ah.pcapng, frame 5
    Vector {
        name: "AH",
        link: 1,
        wire_len: 138,
        frame: "aabbcc000310aabbcc00021008004500007c00130000ff33a0310a0203020a030404010400006048\
            16f600000001e732abace1c60046eec641ed0800670400050001000000000014172cabcdabcdabcd",
        vlan: [None, None],
        tunnels: &[],
        source: "10.2.3.2",
        destination: "10.3.4.4",
        protocol: 1,
        ports: None,
        length: 124,
    },
    // dtls.pcap, frame 3
    Vector {
        name: "two VLAN tags, GTP-U",
        link: 1,
        wire_len: 282,
        frame: "0000000000000001020000fa81006cab8100600a080045680104880200004011d9b00a7408390aee\
            fa330868086800f014b830ff00e00e2c1dc7450000e09b6e4000401102620abfe30d9df01080d392\
            0d9600cc9d2516feff000000000000000000b701",
        vlan: [Some(3243), Some(10)],
        tunnels: &["gtp-u"],
        source: "10.191.227.13",
        destination: "157.240.16.128",
        protocol: 17,
        ports: Some((54162, 3478)),
        length: 224,
    },
    // gre-within-gre.pcap, frame 1
    Vector {
        name: "GRE in GRE",
        link: 1,
        wire_len: 162,
        frame: "001bd5ff54d9000ffedd224208004500009400004000ff2f012748cd3646566aa496000008004500\
            007c27e00000fe2f685b0a0a0b020a0a0d02000008004500006423b80000ff01b32b0a0a1901c0a8\
            01020800cbca00171df20000000004129064abcd",
        vlan: [None, None],
        tunnels: &["gre", "gre"],
        source: "10.10.25.1",
        destination: "192.168.1.2",
        protocol: 1,
        ports: None,
        length: 100,
    },
    // gso-ipv4-vxlan-ipv4.pcap, frame 1
    Vector {
        name: "VXLAN",
        link: 1,
        wire_len: 7106,
        frame: "b8cef6048b14d4aff7dae173080045001bb430e800003d1115070a19840b0a19840debb912b51ba0\
            37fc0800000000138900fe36a567e0ac76bd914a21f9080045001b82282a4000400673f8c0a80102\
            c0a8010190eba24b72c5d5789bd3a673801800a69ec800000101080add7e",
        vlan: [None, None],
        tunnels: &["vxlan"],
        source: "192.168.1.2",
        destination: "192.168.1.1",
        protocol: 6,
        ports: Some((37099, 41547)),
        length: 7042,
    },
    // quic-interop-retry.pcap, frame 1
    Vector {
        name: "PPP",
        link: 9,
        wire_len: 74,
        frame: "00576000000100203aff00000000000000000000000000000000ff0200000000000000000001ff00\
            00038700e54700000000fd00cafecafe0050020000fffe0000030101000000000003",
        vlan: [None, None],
        tunnels: &[],
        source: "::",
        destination: "ff02::1:ff00:3",
        protocol: 58,
        ports: None,
        length: 72,
    },
    // ip6-route0-tcp-good-chksum.pcap, frame 1
    Vector {
        name: "IPv6 routing header",
        link: 1,
        wire_len: 114,
        frame: "ffffffffffff00000000000086dd60000000003c2b40200104f80004000702e081fffe52ffff2001\
            04f80004000702e081fffe529a6b0604000200000000200100780001003200000000000000012001\
            007800010032000000000000000275300050000000000000000050022000517e0000",
        vlan: [None, None],
        tunnels: &[],
        source: "2001:4f8:4:7:2e0:81ff:fe52:ffff",
        destination: "2001:4f8:4:7:2e0:81ff:fe52:9a6b",
        protocol: 6,
        ports: Some((30000, 80)),
        length: 100,
    },
    // ipv6-http-atomic-frag.pcap, frame 4
    Vector {
        name: "IPv6 destination options",
        link: 1,
        wire_len: 82,
        frame: "aa0004000a0400101895316a86dd60000000001c3c4020010db80001000000000000000000022001\
            0db8000100000000000000000001060001040000000090570050e31ebd4e00000000500220000357\
            0000",
        vlan: [None, None],
        tunnels: &[],
        source: "2001:db8:1::2",
        destination: "2001:db8:1::1",
        protocol: 6,
        ports: Some((36951, 80)),
        length: 68,
    },
    // ipv6-http-atomic-frag.pcap, frame 13
    Vector {
        name: "IPv6 atomic fragment",
        link: 1,
        wire_len: 82,
        frame: "aa0004000a0400101895316a86dd60000000001c2c4020010db80001000000000000000000022001\
            0db80001000000000000000000010600000000000000e92e00506981790500000000500220006866\
            0000",
        vlan: [None, None],
        tunnels: &[],
        source: "2001:db8:1::2",
        destination: "2001:db8:1::1",
        protocol: 6,
        ports: Some((59694, 80)),
        length: 68,
    },
    // sip_sctp.pcap, frame 1
    Vector {
        name: "cooked, SCTP",
        link: 113,
        wire_len: 1516,
        frame: "00000001000648570249197300000800458a05dcecf5400036844e3d0af91e0b0a6ccf71df0a13c4\
            138d67a45be3e00b000605bc02902d3f0000000000000000494e56495445207369703a3932373538",
        vlan: [None, None],
        tunnels: &[],
        source: "10.249.30.11",
        destination: "10.108.207.113",
        protocol: 132,
        ports: Some((57098, 5060)),
        length: 1500,
    },
    // tls-client-auth.pcap, frame 1
    Vector {
        name: "null loopback",
        link: 0,
        wire_len: 88,
        frame: "1e000000600c7825002c064000000000000000000000000000000001000000000000000000000000\
            00000001e4ee1f915b21facb00000000b002ffff00340000",
        vlan: [None, None],
        tunnels: &[],
        source: "::1",
        destination: "::1",
        protocol: 6,
        ports: Some((58606, 8081)),
        length: 84,
    },
];
