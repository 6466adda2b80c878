"""Writes the Grafana boards, one a language: `python3 board.py`, beside itself. `python3 board.py --check`: whether they are fresh.

Grafana 9 or newer; the data source is chosen when the board is imported.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

LANGUAGES = ("en", "zh")
WIDTH = 24
"""Columns of a Grafana board."""


@dataclass(frozen=True)
class Panel:
    """One panel. Texts are (English, Chinese); a query is (PromQL, legend)."""

    title: tuple[str, str]
    queries: list[tuple[str, str]]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    bad_below: float | None = None
    bad_above: float | None = None
    words: dict[str, tuple[str, str]] = field(default_factory=dict)


ON = 'instance=~"$instance"'
YES_NO = {"0": ("no", "否"), "1": ("yes", "是")}

ROWS: list[tuple[tuple[str, str], list[Panel]]] = [
    (("The box", "设备"), [
        Panel(("Broker connected", "已连接消息服务器"), [(f"min(snowgate_mqtt_connected{{{ON}}})", "")], "stat", width=4, bad_below=1, words=YES_NO),
        Panel(("Configuration in force is the one on disk", "运行的就是磁盘上的配置"),
              [(f"min(snowgate_config_last_load_successful{{{ON}}})", "")], "stat", width=4, bad_below=1, words=YES_NO),
        Panel(("Clock synchronised", "时钟已同步"), [(f"min(snowgate_clock_synchronised{{{ON}}})", "")], "stat", width=4, bad_below=1, words=YES_NO),
        Panel(("Cameras that are not live", "没有画面的摄像机"),
              [(f'sum(1 - snowgate_camera_state{{state="live",{ON}}})', "")], "stat", width=4, bad_above=1),
        Panel(("Sensors that are silent or faulty", "无声或故障的传感器"),
              [(f'sum(snowgate_sensor_state{{state=~"silent|faulty|refused",{ON}}})', "")], "stat", width=4, bad_above=1),
        Panel(("Messages lost, 24 h", "24 小时内丢失的消息"),
              [(f"sum(increase(snowgate_outbox_lost_messages_total{{{ON}}}[24h]))", "")], "stat", width=4, bad_above=1),
    ]),
    (("Incidents", "事件"), [
        Panel(("Opened per hour, by rule", "每小时新事件（按规则）"),
              [(f'sum by (rule) (increase(snowgate_incidents_total{{event="opened",{ON}}}[1h]))', "{{rule}}")]),
        Panel(("Unfinished, by light", "未办结（按灯）"), [(f"sum by (light) (snowgate_incidents_unfinished{{{ON}}})", "{{light}}")]),
        Panel(("False alarms per day, by rule", "每天误报（按规则）"),
              [(f'sum by (rule) (increase(snowgate_dispositions_total{{stage="rejected_false_alarm",{ON}}}[1d]))', "{{rule}}")]),
        Panel(("From picture to broker", "从画面到消息服务器"),
              [(f"histogram_quantile({q}, sum by (le) (rate(snowgate_frame_to_publish_seconds_bucket{{{ON}}}[15m])))", name)
               for q, name in (("0.5", "p50"), ("0.99", "p99"))], unit="s"),
        Panel(("Oldest message that waits", "最早待发消息的等待时间"),
              [(f"max by (class) (snowgate_outbox_oldest_age_seconds{{{ON}}})", "{{class}}")], unit="s"),
        Panel(("Messages that wait", "待发消息数"), [(f"sum by (class) (snowgate_outbox_messages{{{ON}}})", "{{class}}")]),
    ]),
    (("Cameras", "摄像机"), [
        Panel(("State", "状态"), [(f"snowgate_camera_state{{{ON}}} == 1", "{{camera}} {{state}}")], "table", width=8),
        Panel(("Cannot be relied upon", "画面不可信"), [(f"snowgate_camera_condition{{{ON}}} == 1", "{{camera}} {{condition}}")], "table", width=8),
        Panel(("Connections begun per hour", "每小时重连次数"),
              [(f"increase(snowgate_camera_connects_total{{{ON}}}[1h])", "{{camera}} {{stream}}")]),
        Panel(("Received", "接收码率"), [(f"8 * rate(snowgate_received_bytes_total{{{ON}}}[5m])", "{{camera}} {{stream}}")], unit="bps"),
        Panel(("Decoded pictures a second", "每秒解码画面"), [(f"rate(snowgate_frames_decoded_total{{{ON}}}[5m])", "{{camera}}")]),
        Panel(("Followed things", "正在跟踪的目标"), [(f"snowgate_tracks{{{ON}}}", "{{camera}}")]),
    ]),
    (("Load", "负载"), [
        Panel(("Pressure (1: everything is done in time)", "压力（不超过 1 即来得及）"),
              [(f"snowgate_overload_pressure{{{ON}}}", "{{resource}}")], bad_above=1),
        Panel(("Rungs taken from cameras", "降级的摄像机"), [(f"snowgate_camera_degradation{{{ON}}} > 0", "{{camera}}")]),
        Panel(("Processor, cores", "处理器（核）"), [(f"rate(process_cpu_seconds_total{{{ON}}}[5m])", "{{instance}}")]),
        Panel(("Memory", "内存"), [(f"process_resident_memory_bytes{{{ON}}}", "{{instance}}")], unit="bytes"),
        Panel(("Pictures wait for inference, p99", "等待推理 p99"),
              [(f"histogram_quantile(0.99, sum by (le) (rate(snowgate_slot_wait_seconds_bucket{{{ON}}}[5m])))", "p99")], unit="s"),
        Panel(("Inference of a region, mean", "单次推理平均耗时"),
              [(f"sum by (model) (rate(snowgate_inference_seconds_sum{{{ON}}}[5m])) / sum by (model) (rate(snowgate_inference_seconds_count{{{ON}}}[5m]))",
                "{{model}}")], unit="s"),
    ]),
    (("Sensors", "传感器"), [
        Panel(("Silent for", "未上报时间"), [(f"snowgate_sensor_staleness_seconds{{{ON}}}", "{{sensor}}")], unit="s", width=12),
        Panel(("Alarms per day", "每天告警"), [(f'increase(snowgate_sensor_alarms_total{{{ON}}}[1d])', "{{sensor}} {{rule}} {{change}}")], width=12),
    ]),
    (("Evidence", "证据"), [
        Panel(("Evidence on disk", "磁盘上的证据"), [(f"snowgate_evidence_bytes{{{ON}}}", "{{instance}}"),
              (f"snowgate_evidence_protected_bytes{{{ON}}}", "{{instance}} !")], unit="bytes"),
        Panel(("Stills refused per hour", "每小时未生成的截图"), [(f"increase(snowgate_stills_refused_total{{{ON}}}[1h])", "{{reason}}")]),
        Panel(("Faces and heads covered per hour", "每小时盖住的人脸和头部"),
              [(f"sum(increase(snowgate_faces_covered_total{{{ON}}}[1h]))", "faces"), (f"sum(increase(snowgate_heads_covered_total{{{ON}}}[1h]))", "heads")]),
    ]),
]


def board(language: int) -> dict:
    """The board in one language."""
    panels, y = [], 0
    for title, row in ROWS:
        panels.append({"type": "row", "title": title[language], "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        x, y = 0, y + 1
        height = 4 if row[0].kind == "stat" else 8
        for panel in row:
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            panels.append(drawn(panel, language, {"x": x, "y": y, "w": panel.width, "h": height}))
            x += panel.width
        y += height
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    instance = {"name": "instance", "label": ("Box", "设备")[language], "type": "query", "datasource": SOURCE, "multi": True, "includeAll": True,
                "query": "label_values(snowgate_mqtt_connected, instance)", "refresh": 2, "current": {"text": "All", "value": "$__all"}}
    source = {"name": "source", "label": ("Data source", "数据源")[language], "type": "datasource", "query": "prometheus"}
    return {"title": "Snowgate", "uid": f"snowgate-{LANGUAGES[language]}", "tags": ["snowgate"], "timezone": "browser", "refresh": "30s",
            "schemaVersion": 37, "time": {"from": "now-6h", "to": "now"}, "templating": {"list": [source, instance]}, "panels": panels}


SOURCE = {"type": "prometheus", "uid": "${source}"}


def drawn(panel: Panel, language: int, place: dict) -> dict:
    """A panel as Grafana has it."""
    steps = [{"color": "green", "value": None}]
    if panel.bad_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.bad_below}]
    if panel.bad_above is not None:
        steps.append({"color": "red", "value": panel.bad_above})
    defaults = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.words:
        defaults["mappings"] = [{"type": "value", "options": {value: {"text": text[language]} for value, text in panel.words.items()}}]
    instant = panel.kind != "timeseries"
    targets = [{"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend, "instant": instant,
                **({"format": "table"} if panel.kind == "table" else {})} for index, (query, legend) in enumerate(panel.queries)]
    drawn = {"type": panel.kind, "title": panel.title[language], "gridPos": place, "datasource": SOURCE, "targets": targets,
             "fieldConfig": {"defaults": defaults, "overrides": []}}
    if panel.kind == "table":
        drawn["transformations"] = [{"id": "organize", "options": {"excludeByName": {"Time": True, "Value": True, "__name__": True, "job": True}}}]
    return drawn


def main() -> None:
    folder, stale = Path(__file__).resolve().parent, []
    for index, language in enumerate(LANGUAGES):
        path = folder / f"board.{language}.json"
        text = json.dumps(board(index), ensure_ascii=False, indent=1) + "\n"
        if sys.argv[1:] == ["--check"]:
            stale += [path.name] if not path.exists() or path.read_text() != text else []
        else:
            path.write_text(text)
    if stale:
        raise SystemExit(f"{', '.join(stale)}: not what board.py writes; run python3 {Path(__file__).name}")


if __name__ == "__main__":
    main()
