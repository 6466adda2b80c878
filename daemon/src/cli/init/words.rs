//! What `snowgate init` asks and says, in both languages.

use snowgate_core::incidents::Locale;

/// All of it in one language.
#[derive(Debug)]
pub struct Words {
    /// Name of the box.
    pub gateway: &'static str,
    /// Code of the first grid.
    pub grid: &'static str,
    /// Before a code and its level: what people call it.
    pub name_of: &'static str,
    /// Where the broker is.
    pub broker: &'static str,
    /// User at the broker.
    pub broker_username: &'static str,
    /// File with that user's password.
    pub broker_password_file: &'static str,
    /// Whether the connection to the broker is encrypted.
    pub tls: &'static str,
    /// Address of the first camera.
    pub camera: &'static str,
    /// Name of the first camera.
    pub camera_id: &'static str,
    /// User at the camera.
    pub camera_username: &'static str,
    /// File with that user's password.
    pub camera_password_file: &'static str,
    /// Before the camera's address.
    pub looking: &'static str,
    /// Before each file that was written.
    pub written: &'static str,
    /// Before what comes next.
    pub next: &'static str,
    /// How to find a camera.
    pub find_camera: &'static str,
    /// How to see what the camera sees.
    pub draw: &'static str,
    /// How to check.
    pub check: &'static str,
    /// How to start.
    pub start: &'static str,
}

const ENGLISH: Words = Words {
    gateway: "Name of this box in topics and incidents (a-z 0-9 - _ .)",
    grid: "Code of the grid it reports for",
    name_of: "What people call",
    broker: "MQTT broker, HOST or HOST:PORT",
    broker_username: "User name at the broker (empty: none)",
    broker_password_file: "File that holds its password",
    tls: "Encrypt the connection to the broker, yes or no",
    camera: "rtsp:// address of the first camera, without user and password (empty: none yet)",
    camera_id: "Name of that camera in topics and incidents",
    camera_username: "User name at the camera (empty: none)",
    camera_password_file: "File that holds its password",
    looking: "looking for 10 s at",
    written: "written",
    next: "Next:",
    find_camera: "find cameras on this network",
    draw: "see what the camera sees, and draw its zones",
    check: "check as the service's user",
    start: "go live",
};

const CHINESE: Words = Words {
    gateway: "本设备在主题和事件中的名称（a-z 0-9 - _ .）",
    grid: "上报所属网格的编码",
    name_of: "名称：",
    broker: "MQTT 消息服务器，主机 或 主机:端口",
    broker_username: "消息服务器的用户名（空：无）",
    broker_password_file: "存放其密码的文件",
    tls: "与消息服务器的连接是否加密，yes 或 no",
    camera: "第一路摄像机的 rtsp:// 地址，不含用户名和密码（空：暂无）",
    camera_id: "该摄像机在主题和事件中的名称",
    camera_username: "摄像机的用户名（空：无）",
    camera_password_file: "存放其密码的文件",
    looking: "查看 10 秒：",
    written: "已写入",
    next: "接下来：",
    find_camera: "在本网络中查找摄像机",
    draw: "查看画面，绘制区域",
    check: "以服务的用户检查",
    start: "投入运行",
};

impl Words {
    /// Those of a language.
    pub fn of(locale: Locale) -> &'static Self {
        match locale {
            Locale::En => &ENGLISH,
            Locale::ZhCn => &CHINESE,
        }
    }
}
