"""Loggers."""

from __future__ import annotations

import time

import pytest
import rclpy
import rclpy.logging
from rcl_interfaces.msg import Log
from rcl_interfaces.srv import GetLoggerLevels, SetLoggerLevels
from rclpy.clock import ROSClock
from rclpy.logging import LoggingSeverity
from waiting import result_of, spin_until


def lines(capfd) -> list[str]:
    """Texts that went to the console, without those of other loggers."""
    return [line.split("]: ", 1)[1] for line in capfd.readouterr().err.splitlines() if "]: " in line]


def test_filters(ros, capfd):
    logger = ros.node("talker", namespace="/ns").get_logger()
    logger.debug("hidden")
    for i in range(4):
        logger.info(f"once {i}", once=True)
        logger.warning(f"throttled {i}", throttle_duration_sec=10.0)
        logger.error(f"later {i}", skip_first=True)
    logger.fatal("braces {0} %s")
    text = capfd.readouterr().err
    assert [line.split("]: ")[1] for line in text.splitlines()] == [
        "once 0", "throttled 0", "later 1", "later 2", "later 3", "braces {0} %s",
    ]  # fmt: skip
    assert text.startswith("[INFO] [") and text.splitlines()[0].endswith("] [ns.talker]: once 0")


def test_what_a_call_says_is_fixed(capfd):
    """Severity, name and filters of one line of code may not change between calls."""
    logger = rclpy.logging.get_logger("fixed")

    def log(severity=LoggingSeverity.INFO, **options):
        return logger.log("words", severity, **options)

    assert log() is True
    with pytest.raises(ValueError, match="severity cannot be changed"):
        log(LoggingSeverity.WARN)
    with pytest.raises(ValueError, match="name cannot be changed"):
        log(name="other")
    with pytest.raises(ValueError, match="filters cannot be changed"):
        log(once=True)
    for duration in (1.0, 2.0):
        if duration == 1.0:
            throttled = lambda d: logger.info("t", throttle_duration_sec=d)  # noqa: E731
            throttled(duration)
        else:
            with pytest.raises(ValueError, match="parameters cannot be changed"):
                throttled(duration)


def test_only_text_can_be_logged(capfd):
    logger = rclpy.logging.get_logger("text")
    for wrong in (5, ["a"], ValueError("x")):
        with pytest.raises(TypeError):
            logger.info(wrong)
    assert logger.debug(5) is False, "not looked at while the level hides it"


def test_unknown_options(capfd):
    logger = rclpy.logging.get_logger("options")
    with pytest.raises(TypeError, match="nonsense"):
        logger.info("x", nonsense=True)
    with pytest.raises(TypeError, match="throttle_duration_sec"):
        logger.info("x", throttle_time_source_type=ROSClock())
    with pytest.raises(ValueError, match="not a clock"):
        logger.info("x", throttle_duration_sec=1.0, throttle_time_source_type="STEADY")
    assert logger.info("x", once=False, skip_first=False) is True


def test_combined_filters(capfd):
    logger, said = rclpy.logging.get_logger("combined"), []
    for i in range(4):
        said.append(logger.info(f"{i}", once=True, skip_first=True))
    assert said == [False, True, False, False]
    said.clear()
    for i in range(3):
        said.append(logger.info(f"{i}", throttle_duration_sec=0.4))
        if i == 1:
            time.sleep(0.5)
    assert said == [True, False, True]


def test_levels(capfd):
    parent, child = rclpy.logging.get_logger("tree"), rclpy.logging.get_logger("tree").get_child("leaf")
    assert child.name == "tree.leaf"
    parent.set_level(LoggingSeverity.ERROR)
    try:
        assert child.get_effective_level() == LoggingSeverity.ERROR
        assert not child.is_enabled_for(LoggingSeverity.WARN) and child.is_enabled_for(LoggingSeverity.FATAL)
        assert child.warning("hidden") is False and child.error("shown") is True
        child.set_level(LoggingSeverity.DEBUG)
        assert child.debug("shown, too") is True
        assert lines(capfd) == ["shown", "shown, too"]
        assert rclpy.logging.get_logger_level("tree") == LoggingSeverity.ERROR
        assert rclpy.logging.get_logger_level("nobody") == LoggingSeverity.UNSET
        assert rclpy.logging.get_logger_effective_level("tree.leaf.x") == LoggingSeverity.DEBUG
    finally:
        for name in ("tree", "tree.leaf"):
            rclpy.logging.set_logger_level(name, LoggingSeverity.UNSET)
    assert parent.get_effective_level() == LoggingSeverity.INFO
    with pytest.raises(ValueError):
        parent.set_level("WARN")
    with pytest.raises(ValueError):
        parent.is_enabled_for(25)


def test_names_and_severities():
    with pytest.raises(ValueError):
        rclpy.logging.get_logger("")
    with pytest.raises(ValueError):
        rclpy.logging.get_logger("x").get_child("")
    assert rclpy.logging.get_logging_severity_from_string("warn") == LoggingSeverity.WARN
    assert rclpy.logging.get_logging_severity_from_string("FATAL") == LoggingSeverity.FATAL
    with pytest.raises(RuntimeError):
        rclpy.logging.get_logging_severity_from_string("loud")
    assert [int(s) for s in LoggingSeverity] == [0, 10, 20, 30, 40, 50]
    assert rclpy.logging.get_logging_directory().is_absolute()


def test_rosout(ros, capfd):
    node, logs = ros.node("talker", namespace="/ns"), []
    node.create_subscription(Log, "/rosout", logs.append, 100)
    assert spin_until(node, lambda: node.count_publishers("/rosout") == 1)
    node.get_logger().info("from the node")
    node.get_logger().get_child("part").fatal("from a child")
    rclpy.logging.get_logger("stranger").info("not published")
    assert spin_until(node, lambda: len(logs) == 2)
    assert [(log.level, log.name, log.msg) for log in logs] == [
        (20, "ns.talker", "from the node"), (50, "ns.talker.part", "from a child"),
    ]  # fmt: skip
    assert logs[0].file.endswith("logs.py") and logs[0].function == "test_rosout" and logs[0].line > 0
    assert logs[0].stamp.sec > 0


def test_without_rosout(ros):
    quiet = ros.node("quiet", enable_rosout=False)
    assert quiet.count_publishers("/rosout") == 0
    ros.restart("--ros-args", "--disable-rosout-logs")
    assert ros.node().count_publishers("/rosout") == 0


def test_levels_from_arguments(ros, capfd):
    ros.restart("--ros-args", "--log-level", "some.thing:=debug", "--log-level", "warn")
    try:
        assert rclpy.logging.get_logger("some.thing").debug("shown") is True
        assert rclpy.logging.get_logger("other").info("hidden") is False
    finally:
        rclpy.logging.set_logger_level("some.thing", 0)
        ros.restart("--ros-args", "--log-level", "info")


def test_the_level_services(ros):
    node = ros.node("served", enable_logger_service=True)
    get = node.create_client(GetLoggerLevels, "served/get_logger_levels")
    set_ = node.create_client(SetLoggerLevels, "served/set_logger_levels")
    assert get.wait_for_service(20.0) and set_.wait_for_service(20.0)
    from rcl_interfaces.msg import LoggerLevel

    wanted = [LoggerLevel(name="served", level=40), LoggerLevel(name="served", level=99)]
    results = result_of(node, set_.call_async(SetLoggerLevels.Request(levels=wanted))).results
    assert [result.successful for result in results] == [True, False] and results[1].reason
    (level,) = result_of(node, get.call_async(GetLoggerLevels.Request(names=["served"]))).levels
    assert (level.name, level.level) == ("served", 40)
    rclpy.logging.set_logger_level("served", 0)
