"""A headless Chromium that a test drives, and what it complains about."""
import contextlib
import os
import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from harness import isolation, proc

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
QUIET = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-breakpad", "--hide-scrollbars",
         # Root has no sandbox for it, and all of its own pages are ours.
         "--no-sandbox"]
# A connection that was cut, and a gateway that has lost its master, are told in the console, too: where a test sees to that, it is no error of the page.
NETWORK = ("Failed to load resource: net::", "Failed to load resource: the server responded with a status of 503")


class Browser:
    """`width`, `height`: of what is seen; dark: what the system is said to prefer."""

    def __init__(self, width=1600, height=1100, dark=False):
        self.profile = tempfile.mkdtemp(prefix="rl-chromium-")
        options = Options()
        options.binary_location = CHROMIUM
        for argument in [*QUIET, f"--user-data-dir={self.profile}"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Nothing of it is to be found in anybody's home, nor to be asked of the desktop.
        environment = {**os.environ, "HOME": self.profile, "XDG_CONFIG_HOME": self.profile, "XDG_CACHE_HOME": self.profile,
                       "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
        # Helpers that Chromium lets go of stay below it.
        service = Service(DRIVER, env=environment, popen_kw={"preexec_fn": isolation.become_subreaper})
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver_pid = self.driver.service.process.pid
        self.prefer(dark)
        self.resize(width, height)

    def renew(self, width=1600, height=1100, dark=False):
        """As it was when it was started, for another test; what earlier pages complained of is no complaint of the next one."""
        self.open("about:blank")
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})
        self.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        self.prefer(dark)
        self.resize(width, height)
        self.complaints()

    def resize(self, width, height=1100):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})

    def prefer(self, dark):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                    {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def open(self, address):
        self.driver.get(address)

    # --- what is there

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """What people read there; None: it is not there."""
        return self.run("const node = document.querySelector(arguments[0]); return node && node.innerText", selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def focused(self, what="id"):
        return self.run(f"return document.activeElement.{what}")

    # --- waiting

    def wait(self, condition, what, seconds=20):
        """Until condition() holds; it is asked again and again, and its value returned."""
        def holds(_):
            with contextlib.suppress(StaleElementReferenceException, NoSuchElementException):
                return condition()
            return False
        try:
            return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(holds)
        except TimeoutException:
            raise AssertionError(f"not after {seconds} s: {what}\n--- the page\n{self.run('return document.body.innerText')}") from None

    def wait_text(self, selector, part, seconds=20):
        return self.wait(lambda: part in (self.text(selector) or ""), f"{part!r} in {selector}", seconds)

    # --- acting

    def click(self, selector):
        self.wait(lambda: self.one(selector).is_displayed(), f"{selector} is there")
        self.one(selector).click()

    def press(self, *keys):
        ActionChains(self.driver).send_keys(*keys).perform()

    # --- its complaints

    def complaints(self, cut=False):
        """Errors and warnings of the console, which are read once; cut: connections were, or the master is gone, and that may be told."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING") and not (cut and any(words in entry["message"] for words in NETWORK))]

    def close(self):
        family = [self.driver_pid, *proc.descendants(self.driver_pid)]
        self.driver.quit()
        # Those that it started end with it, but not in that moment.
        proc.wait_until(lambda: not any(proc.is_running(pid) for pid in family), "Chromium has ended")
        shutil.rmtree(self.profile, ignore_errors=True)
