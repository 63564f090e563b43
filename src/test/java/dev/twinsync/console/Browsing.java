package dev.twinsync.console;

import static org.assertj.core.api.Assertions.assertThat;

import com.microsoft.playwright.Browser;
import com.microsoft.playwright.BrowserContext;
import com.microsoft.playwright.BrowserType;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.Playwright;
import dev.twinsync.devservices.MiniProgram;
import dev.twinsync.devservices.Neighbours;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DriverManagerDataSource;

/**
 * Tests in a real Chromium against the running service. Without a Chromium they are skipped, and say so; in CI they are
 * required. Every page that a test opened must have been free of script errors and of breaches of the content policy.
 */
public abstract class Browsing {

    private static final List<String> CHROMIUM = List.of(
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync");

    private static Browser browser;
    private static final Map<String, String> SIGNED_IN = new HashMap<>();

    protected final Neighbours neighbours = Neighbours.get();
    protected final MiniProgram mini = neighbours.mini;
    protected final JdbcTemplate app =
            new JdbcTemplate(new DriverManagerDataSource(neighbours.postgres.url(), "postgres", "postgres"));
    protected final String home =
            "http://127.0.0.1:" + neighbours.service().getEnvironment().getProperty("local.server.port");

    private final List<BrowserContext> contexts = new ArrayList<>();
    private final List<String> complaints = new ArrayList<>();

    @BeforeAll
    static void findChromium() {
        if (chromium() == null) {
            String missing =
                    "No Chromium: the console's pages are NOT tested. Install chromium, or set CHROMIUM to its path.";
            if ("true".equals(System.getenv("CI"))) {
                throw new IllegalStateException(missing);
            }
            System.err.println(
                    "\n" + "!".repeat(missing.length()) + "\n" + missing + "\n" + "!".repeat(missing.length()));
        }
        Assumptions.assumeTrue(chromium() != null, "no Chromium");
    }

    private static Path chromium() {
        return Stream.of(
                        System.getenv("CHROMIUM"),
                        "/usr/bin/chromium",
                        "/usr/bin/chromium-browser",
                        "/usr/bin/google-chrome")
                .filter(Objects::nonNull)
                .map(Path::of)
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
    }

    private static synchronized Browser browser() {
        if (browser == null) {
            Playwright playwright = Playwright.create(
                    new Playwright.CreateOptions().setEnv(Map.of("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")));
            browser = playwright
                    .chromium()
                    .launch(new BrowserType.LaunchOptions()
                            .setExecutablePath(chromium())
                            .setArgs(CHROMIUM));
            Runtime.getRuntime().addShutdownHook(new Thread(playwright::close));
        }
        return browser;
    }

    @BeforeEach
    void noComplaints() {
        complaints.clear();
    }

    @AfterEach
    void closePages() {
        contexts.forEach(BrowserContext::close);
        contexts.clear();
        assertThat(complaints).isEmpty();
    }

    /** A page of a fresh browser: English, 1280 wide, nobody signed in. */
    protected Page fresh() {
        return page(new Browser.NewContextOptions().setLocale("en-GB").setViewportSize(1280, 800));
    }

    protected Page page(Browser.NewContextOptions options) {
        BrowserContext context = browser().newContext(options.setTimezoneId("Asia/Shanghai"));
        context.setDefaultTimeout(20_000);
        contexts.add(context);
        Page page = context.newPage();
        page.onPageError(complaints::add);
        page.onConsoleMessage(message -> {
            // a refused call is the test's own affair
            if (message.type().equals("error") && !message.text().startsWith("Failed to load resource")) {
                complaints.add(message.text());
            }
        });
        return page;
    }

    /** A page of somebody who has signed in; {@code name} is viewer, operator or admin. */
    protected Page as(String name) {
        return as(name, new Browser.NewContextOptions().setLocale("en-GB").setViewportSize(1280, 800));
    }

    protected Page as(String name, Browser.NewContextOptions options) {
        String known = SIGNED_IN.get(name);
        if (known == null) {
            Page page = fresh();
            signIn(page, name, name);
            known = page.context().storageState();
            SIGNED_IN.put(name, known);
        }
        return page(options.setStorageState(known));
    }

    protected void signIn(Page page, String name, String password) {
        page.navigate(home + "/login");
        page.locator("#username").fill(name);
        page.locator("#password").fill(password);
        page.locator("main button").click();
    }
}
