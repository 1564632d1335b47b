"""The report in a real browser: sorting, filtering, address, opened rows, slider, themes, nothing from outside."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.report import write
from tests.parity.report.synthetic import DEFECT, UNJUDGED, Run, attribution, big_run

pytestmark = pytest.mark.slow

FAILING = "row-vgg_mnist--lrp_alpha_1_beta_0"


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def visible_methods(browser: Any) -> list[str]:
    return browser.execute_script(
        "return [...document.querySelectorAll('tbody.entry')].filter(b => !b.hidden)"
        ".map(b => b.dataset.model + ' ' + b.querySelector('th code').textContent)"
    )


def column(browser: Any, key: str) -> list[str]:
    return browser.execute_script(
        "const index = [...document.querySelectorAll('#cases thead th')];"
        "const b = [...document.querySelectorAll('tbody.entry')].filter(b => !b.hidden);"
        "const names = {status: 0, method: 1, model: 2, family: 3, 'float64-l2': 4, 'float64-margin': 5,"
        " 'float32-l2': 6, 'float32-margin': 7, pearson: 8, ssim: 9};"
        "return b.map(x => { const c = x.rows[0].cells[names[arguments[0]]];"
        " return c.dataset.v ?? c.textContent.trim(); });",
        key,
    )


def sort_by(browser: Any, key: str) -> Any:
    header = find(browser, f'th[data-key="{key}"]')
    header.find_element("tag name", "button").click()
    return header


def type_into(browser: Any, name: str, text: str) -> None:
    field = find(browser, f'#filters [name="{name}"]')
    field.clear()
    field.send_keys(text)


def choose(browser: Any, name: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    field = find(browser, f'#filters [name="{name}"]')
    Select(field).select_by_value(value)
    # A select tells of its change a moment after the click.
    eventually(lambda: f"{name}={value}" in hash_of(browser))


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not get there in time"
        time.sleep(0.02)


def hash_of(browser: Any) -> str:
    return browser.execute_script("return location.hash")


def is_open(browser: Any, row: str) -> bool:
    return browser.execute_script(
        "return document.getElementById(arguments[0]).querySelector('.evidence-of').open", row
    )


def test_no_console_error_and_no_request(browser: Any):
    sort_by(browser, "method")
    find(browser, f"#{FAILING} .opener").click()
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    addresses = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if json.loads(entry["message"])["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert addresses
    assert {address.split(":")[0] for address in addresses} <= {"file", "data"}


def test_what_fails_stands_first(browser: Any):
    states = browser.execute_script("return [...document.querySelectorAll('tbody.entry')].map(b => b.dataset.status)")
    assert states[:4] == ["error", "mismatch", "mismatch", "structural"]
    assert states[-1] == "unsupported"


@pytest.mark.parametrize("key", ["float64-l2", "float32-margin"])
def test_numbers_sort_worst_first_then_the_other_way_and_gaps_stay_last(browser: Any, key: str):
    header = sort_by(browser, key)
    assert header.get_attribute("aria-sort") == "descending"
    values = column(browser, key)
    numbers = [float(v) for v in values if v]
    assert numbers == sorted(numbers, reverse=True)
    assert all(not v for v in values[len(numbers) :])
    sort_by(browser, key)
    assert header.get_attribute("aria-sort") == "ascending"
    values = column(browser, key)
    numbers = [float(v) for v in values if v]
    assert numbers == sorted(numbers)
    assert all(not v for v in values[len(numbers) :])


@pytest.mark.parametrize("key", ["method", "model", "family"])
def test_words_sort_by_alphabet(browser: Any, key: str):
    header = sort_by(browser, key)
    assert header.get_attribute("aria-sort") == "ascending"
    words = column(browser, key)
    expected = browser.execute_script(
        "return arguments[0].toSorted((a, b) => a.localeCompare(b, 'en', {numeric: true}))", words
    )
    assert words == expected


def test_the_rows_in_view_are_downloaded_as_csv(browser: Any):
    sort_by(browser, "method")
    type_into(browser, "q", "lrp")
    eventually(lambda: "q=lrp" in hash_of(browser))
    text = browser.execute_async_script(
        "const done = arguments[0]; const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then(done); return make.call(URL, blob); };"
        "document.querySelector('#csv').click(); URL.createObjectURL = make;"
    )
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [f"{row['model']} {row['method']}" for row in rows] == visible_methods(browser)
    assert [row["float64_rel_l2"] for row in rows] == column(browser, "float64-l2")
    assert [row["ssim"] for row in rows] == column(browser, "ssim")
    assert "lrp" in text
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_only_the_sorted_header_has_aria_sort(browser: Any):
    sort_by(browser, "method")
    sort_by(browser, "ssim")
    sorted_headers = browser.find_elements("css selector", "[aria-sort]")
    assert [header.get_attribute("data-key") for header in sorted_headers] == ["ssim"]


def test_sorting_by_keyboard(browser: Any):
    from selenium.webdriver.common.keys import Keys

    find(browser, 'th[data-key="method"] button').send_keys(Keys.ENTER)
    assert find(browser, 'th[data-key="method"]').get_attribute("aria-sort") == "ascending"


def test_the_text_filter_takes_all_words_and_says_how_many(browser: Any):
    type_into(browser, "q", "flatlrp ecg")
    assert visible_methods(browser) == ["ecg flatlrp_epsilon_0_1"]
    assert find(browser, "#shown").text == "1 of 19 rows"
    type_into(browser, "q", "no such thing")
    assert visible_methods(browser) == []
    assert find(browser, "#nothing").is_displayed()


def test_filters_work_together_and_reset(browser: Any):
    choose(browser, "model", "vgg_mnist")
    choose(browser, "status", "mismatch")
    assert {m.split()[1] for m in visible_methods(browser)} == {"lrp_gamma", "lrp_alpha_1_beta_0"}
    choose(browser, "family", "gradient")
    assert visible_methods(browser) == []
    find(browser, '#filters [type="reset"]').click()
    eventually(lambda: len(visible_methods(browser)) == 19)
    assert hash_of(browser) == ""


def test_not_green_shows_what_spoils_the_run(browser: Any):
    choose(browser, "status", "not-green")
    assert len(visible_methods(browser)) == 4


def test_a_count_is_a_filter(browser: Any):
    for standing, method in (("unjudged", "vargrad"), ("structural", "lrp_w_square")):
        find(browser, f'[data-filter-status="{standing}"]').click()
        assert [m.split()[1] for m in visible_methods(browser)] == [method]
    find(browser, '[data-filter-status="structural"]').click()
    assert len(visible_methods(browser)) == 19


def test_the_address_brings_the_same_view_back(browser: Any, report: str):
    type_into(browser, "q", "lrp")
    choose(browser, "model", "vgg_mnist")
    sort_by(browser, "float32-l2")
    find(browser, "#row-vgg_mnist--lrp_flat .opener").click()
    address, methods = browser.current_url, visible_methods(browser)
    browser.get("about:blank")
    browser.get(address)
    assert visible_methods(browser) == methods
    assert find(browser, "[aria-sort]").get_attribute("data-key") == "float32-l2"
    assert find(browser, '#filters [name="q"]').get_attribute("value") == "lrp"
    assert is_open(browser, "row-vgg_mnist--lrp_flat")


def test_a_nonsense_address_is_survived(browser: Any, report: str):
    for text in ("#status=nonsense&sort=nonsense-down&open=nonsense", "#nonsense", "#%3Cscript%3E", "#%"):
        browser.get("about:blank")
        browser.get(report + text)
        assert len(visible_methods(browser)) == 19, text
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_row_opens_and_closes_by_mouse_and_keyboard(browser: Any):
    from selenium.webdriver.common.keys import Keys

    opener = find(browser, f"#{FAILING} .opener")
    assert opener.get_attribute("aria-expanded") == "false"
    opener.click()
    assert is_open(browser, FAILING)
    assert opener.get_attribute("aria-expanded") == "true"
    assert FAILING in hash_of(browser)
    assert find(browser, f"#{FAILING} .checks").is_displayed()
    opener.send_keys(Keys.ENTER)
    assert not is_open(browser, FAILING)
    opener.send_keys(Keys.SPACE)
    assert is_open(browser, FAILING)


def test_the_coverage_matrix_leads_to_the_row(browser: Any):
    link = find(browser, '.matrix a[aria-label^="lrp_alpha_1_beta_0:"]')
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    eventually(lambda: is_open(browser, FAILING))
    assert browser.execute_script("return document.activeElement.closest('tbody').id") == FAILING


def test_the_slider_works_by_keyboard(browser: Any):
    from selenium.webdriver.common.keys import Keys

    find(browser, f"#{FAILING} .opener").click()
    slider = find(browser, f"#{FAILING} input[type=range]")
    upper = find(browser, f"#{FAILING} .stage .upper")
    before = upper.value_of_css_property("clip-path")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert slider.get_attribute("value") == "52"
    assert slider.get_attribute("aria-valuetext") == "52 % TensorFlow, 48 % torch"
    assert upper.value_of_css_property("clip-path") != before
    slider.send_keys(Keys.HOME)
    assert slider.get_attribute("value") == "0"


def test_pictures_are_drawn(browser: Any):
    find(browser, f"#{FAILING} .opener").click()
    for picture in browser.find_elements("css selector", f"#{FAILING} .pictures .picture"):
        assert "data:image/png" in picture.value_of_css_property("background-image")
        assert picture.size["width"] > 100
        assert picture.size["height"] > 100


def test_the_command_can_be_copied_or_is_selected(browser: Any):
    find(browser, f"#{FAILING} .opener").click()
    button = find(browser, f"#{FAILING} .reproduce .copy")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    eventually(lambda: button.text in ("Copied", "Selected"))


def color_of(browser: Any, standing: str) -> str:
    return find(browser, f"#cases .status.{standing}").value_of_css_property("color")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_not_equal_is_as_red_as_a_mismatch_and_what_is_unjudged_is_neither(browser: Any, theme: str):
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert color_of(browser, "structural") == color_of(browser, "mismatch")
    assert color_of(browser, "unjudged") not in (color_of(browser, "mismatch"), color_of(browser, "parity"))
    row = find(browser, "#row-vgg_mnist--lrp_w_square .line")
    assert "not equal" in row.text
    assert "2e8×" in row.text
    assert "structural" not in row.text


def test_the_unjudged_are_listed_with_their_reason_and_lead_to_their_row(browser: Any):
    section = find(browser, 'section[aria-labelledby="unjudged-title"]')
    assert UNJUDGED in section.text
    link = section.find_element("css selector", "a")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    eventually(lambda: is_open(browser, "row-vgg_mnist--vargrad"))


def background(browser: Any) -> str:
    return find(browser, "body").value_of_css_property("background-color")


def test_the_theme_follows_the_system_and_the_button(browser: Any):
    def prefer(theme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    prefer("light")
    light = background(browser)
    prefer("dark")
    dark = background(browser)
    assert light != dark
    button = find(browser, "#theme")
    button.click()
    assert (background(browser), button.text) == (light, "Theme: light")
    button.click()
    assert (background(browser), button.text) == (dark, "Theme: dark")
    browser.refresh()
    prefer("light")
    assert background(browser) == dark
    find(browser, "#theme").click()
    assert background(browser) == light


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_no_serious_accessibility_violation(browser: Any, violations, save_screenshot, theme: str, width: int):
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    if width < 500:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    save_screenshot(f"top-{theme}-{width}")
    assert violations() == []
    for row in (FAILING, "row-vgg_mnist--zblrp_z_VGG16ILSVRC", "row-ecg--lrp_z", "row-vgg_mnist--vargrad"):
        find(browser, f"#{row} .opener").click()
    browser.execute_script("document.getElementById(arguments[0]).scrollIntoView()", FAILING)
    save_screenshot(f"opened-{theme}-{width}")
    assert violations() == []


def test_axe_itself_finds_violations(browser: Any, violations):
    browser.execute_script(
        "document.querySelector('h1').innerHTML = '<span style=\"color:#ddd;background:#fff\">pale</span>';"
        "document.querySelector('#theme').replaceWith(document.createElement('button'));"
    )
    found = " ".join(violations())
    assert "color-contrast" in found
    assert "button-name" in found


@pytest.mark.parametrize("width", [400, 768, 1280, 1920])
def test_the_page_does_not_scroll_sideways(browser: Any, width: int):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for row in (FAILING, "row-ecg--lrp_z"):
        find(browser, f"#{row} .opener").click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def headers_out_of_sight(browser: Any) -> list[str]:
    """Return the headers of the table of methods that its visible box cuts off."""
    return browser.execute_script(
        "const box = document.querySelector('.scroll.wide').getBoundingClientRect();"
        "return [...document.querySelectorAll('#cases > thead th')].filter(h => {"
        " const own = h.getBoundingClientRect(); return own.left < box.left - 1 || own.right > box.right + 1; })"
        ".map(h => h.textContent.trim());"
    )


@pytest.fixture
def odd_report(tmp_path: Path) -> str:
    """Return the address of a report of long names, with rows held to another reference and rows held to a property."""
    run = Run(tmp_path)
    exact = attribution(np.random.default_rng(0), (8, 8, 1))
    defect = {"status": "reference-defect", "divergence": DEFECT}
    for model in ("vgg_mnist", "a_model_of_somebody_fine_tuned_on_everything", "WithoutAnyPlaceToBreakItAnywhere"):
        run.add_model(model, (8, 8, 1), ["a"])
        for dtype in ("float64", "float32"):
            for method in (
                "zblrp_sequential_composite_b_x_input_x_sign_VGG16ILSVRC", "lrp.sequential_preset_b_flat_until_idx",
                "NoPlaceToBreakThisNameEitherWhichIsQuiteLong",
            ):  # fmt: skip
                run.add_case(model, "a", method, dtype, None, exact, family="grad_cam_timeseries", **defect)
            run.add_case(model, "a", "lrp_flat", dtype, exact, exact * 5.3e4)
            held = {"status": "reference-defect", "divergence": DEFECT, "held_to": "innvestigate"}
            run.add_case(model, "a", "lrp.z_IB", dtype, exact, exact, **held)
    return write(run.close(), run.arrays_path, tmp_path / "report").html.as_uri()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_rows_that_are_held_to_something_else_are_neutral_and_can_be_read(
    browser: Any, odd_report: str, violations, theme: str
):
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(odd_report)
    colors = {
        method: find(browser, f"#row-vgg_mnist--{method} .track i").value_of_css_property("background-image")
        for method in ("lrp_flat", "lrp\\.z_IB")
    }
    assert "gradient" in colors["lrp_flat"]  # the red stripes
    assert colors["lrp\\.z_IB"] == "none"
    for row in ("lrp\\.z_IB", "lrp\\.sequential_preset_b_flat_until_idx"):
        find(browser, f"#row-vgg_mnist--{row} .opener").click()
        assert browser.find_elements("css selector", f"#row-vgg_mnist--{row} .checks .broken") == []
    assert len(browser.find_elements("css selector", "#row-vgg_mnist--lrp_flat .checks .broken")) > 0
    choose(browser, "status", "reference-defect")
    assert "lrp.z_IB" in {name.split()[1] for name in visible_methods(browser)}
    assert violations() == []


def test_at_1280_pixels_every_column_is_seen_however_long_the_names_are(
    browser: Any, odd_report: str, save_screenshot: Callable[[str], None]
):
    metrics = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(odd_report)
    find(browser, "#cases").location_once_scrolled_into_view  # noqa: B018
    save_screenshot("long-names")
    assert headers_out_of_sight(browser) == []
    # The check itself sees a column that is pushed out.
    browser.execute_script("document.querySelectorAll('#cases .line th').forEach(h => h.style.whiteSpace = 'nowrap')")
    assert "SSIM" in headers_out_of_sight(browser)


def test_print_leaves_out_controls_and_keeps_the_rows(browser: Any):
    find(browser, f"#{FAILING} .opener").click()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not find(browser, "#filters").is_displayed()
    assert not find(browser, f"#{FAILING} input[type=range]").is_displayed()
    assert find(browser, f"#{FAILING} .checks").is_displayed()


def test_without_javascript_everything_can_be_read(start: Callable[..., Any], report: str):
    browser = start("--blink-settings=scriptEnabled=false")
    browser.get(report)
    assert "js" not in (find(browser, "html").get_attribute("class") or "")
    assert len(browser.find_elements("css selector", "tbody.entry .line")) == 19
    assert not find(browser, "#filters").is_displayed()
    summary = find(browser, f"#{FAILING} summary")
    assert summary.is_displayed()
    summary.click()
    assert find(browser, f"#{FAILING} .checks").is_displayed()
    assert "block2_conv1" in find(browser, f"#{FAILING} .opened").text
    assert find(browser, f"#{FAILING} .picture").size["width"] > 100


def test_markup_in_a_run_is_shown_and_not_run(browser: Any, tmp_path: Path):
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    run = Run(tmp_path)
    run.add_model("vgg", (8, 8, 1), ["a"])
    exact = attribution(np.random.default_rng(0), (8, 8, 1))
    run.add_case("vgg", "a", evil, "float64", exact, -exact, message=evil, reproduce=evil)
    page = write(run.close(), run.arrays_path, tmp_path / "report").html
    browser.get(page.as_uri())
    find(browser, ".opener").click()
    time.sleep(0.2)
    assert browser.execute_script("return window.hacked") is None
    assert evil in find(browser, "#cases th code").get_attribute("textContent")
    assert browser.find_elements("css selector", "img") == []


def main_thread_seconds(start: Callable[..., Any], page: Path) -> dict[str, float]:
    """Return what opening a page costs the main thread of a fresh browser, whatever else the machine does."""
    browser = start()
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.get(page.as_uri())
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    browser.quit()
    return {entry["name"]: entry["value"] for entry in metrics}


@pytest.mark.slow
def test_the_largest_report_opens_faster_than_a_plain_table(start: Callable[..., Any], tmp_path: Path):
    document, arrays = big_run(tmp_path)
    page = write(document, arrays, tmp_path / "report").html
    assert page.stat().st_size < 15e6
    # Machines differ by a factor of three, so the limit is a plain table on this one: 12,000 lines of five cells, about
    # as many as the report has. Where the report takes 1.0 s, the table takes 1.5 s.
    cells = "".join(f"<td><span>cell {number}</span>" for number in range(5))
    table = tmp_path / "table.html"
    table.write_text(f"<!DOCTYPE html><title>table</title><table>{f'<tr>{cells}' * 12_000}</table>", encoding="utf-8")
    limit = main_thread_seconds(start, table)["TaskDuration"]
    seconds = main_thread_seconds(start, page)
    assert 0.05 < seconds["TaskDuration"] < 1.2 * limit
    assert seconds["ScriptDuration"] < 0.2 * limit
