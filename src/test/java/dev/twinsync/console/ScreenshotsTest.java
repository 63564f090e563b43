package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import com.microsoft.playwright.Browser;
import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.Response;
import com.microsoft.playwright.assertions.LocatorAssertions.ContainsTextOptions;
import com.microsoft.playwright.assertions.LocatorAssertions.HasCountOptions;
import com.microsoft.playwright.options.ColorScheme;
import com.microsoft.playwright.options.ScreenshotCaret;
import dev.twinsync.verification.Verifications;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Every page in both languages and at two widths, in target/screenshots, for somebody to look at. */
@Tag("proof")
class ScreenshotsTest extends Browsing {

    private static final Path FOLDER = Path.of("target/screenshots");

    private Map<String, String> pages() {
        Map<String, String> pages = new LinkedHashMap<>();
        pages.put("overview", "/console");
        pages.put("conflicts", "/console/conflicts?state=all");
        pages.put("flows", "/console/flows");
        pages.put("audit", "/console/audit");
        pages.put("both-ends", "/console/demo");
        pages.put("user", "/console/users/123456");
        pages.put("order-refused", "/console/orders/800042?live=true");
        pages.put("order", "/console/orders/800103");
        pages.put("order-damaged", "/console/orders/800106");
        pages.put("verification", "/console/verification");
        pages.put(
                "verification-run",
                "/console/verification/"
                        + Shots.verified(neighbours.service().getBean(Verifications.class), app, mini));
        pages.put("diagnosis", "/console/verification/diagnosis");
        pages.put("search-nothing", "/console/search?q=no-such-id");
        pages.put("not-found", "/console/orders/no-such-order");
        return pages;
    }

    @Test
    void everyPageIsShownInBothLanguagesAndWidthsWithoutScrollingSideways() {
        Shots.fill(app, mini);
        for (String language : new String[] {"en-GB", "zh-CN"}) {
            for (int width : new int[] {1280, 390}) {
                Page page = as("operator", options(language, width, ColorScheme.LIGHT));
                pages().forEach((name, path) -> shot(page, name, path, language, width));
                Page nobody = page(options(language, width, ColorScheme.LIGHT));
                shot(nobody, "login", "/login", language, width);
            }
        }
        Page dark = as("operator", options("en-GB", 1280, ColorScheme.DARK));
        for (String name : new String[] {"overview", "order-refused", "both-ends", "verification-run"}) {
            shot(dark, name + "-dark", pages().get(name), "en-GB", 1280);
        }
    }

    /** The picture that the README begins with: a change that has just arrived, and the order that is refused. */
    @Test
    void bothEndsOnOneScreenAsTheReadmeShowsThem() {
        Shots.fill(app, mini);
        Page page = as("operator", options("en-GB", 1280, ColorScheme.LIGHT).setViewportSize(1280, 860));
        page.navigate(home + "/console/demo");
        if (mini.read("order", "800042") == null) {
            assertThat(page.locator("#app-order-800042 a.chip.bad"))
                    .hasCount(1, new HasCountOptions().setTimeout(30_000));
        }
        for (String nickname : new String[] {"小明", "小明同学"}) {
            // the first one warms up what the second one takes
            Locator row = page.locator("#app-user-123456");
            row.locator("summary").click();
            row.locator("[name=nickname]").fill(nickname);
            row.locator("form button").click();
            assertThat(page.locator("#arrivals li").first())
                    .containsText(
                            java.util.regex.Pattern.compile(nickname + "\\s+[\\d,]+ ms"),
                            new ContainsTextOptions().setTimeout(30_000));
        }
        assertThat(page.locator("#mini-user-123456 .chip.good")).hasCount(1);
        page.screenshot(new Page.ScreenshotOptions()
                .setCaret(ScreenshotCaret.INITIAL)
                .setPath(FOLDER.resolve("both-ends.png")));
    }

    private static Browser.NewContextOptions options(String language, int width, ColorScheme scheme) {
        return new Browser.NewContextOptions()
                .setLocale(language)
                .setColorScheme(scheme)
                .setViewportSize(width, 800);
    }

    private void shot(Page page, String name, String path, String language, int width) {
        Response answer = page.navigate(home + path);
        assertThat(answer.status()).as(path).isEqualTo(name.equals("not-found") ? 404 : 200);
        page.screenshot(new Page.ScreenshotOptions()
                .setCaret(ScreenshotCaret.INITIAL) // to hide it, Playwright would write a style into the page
                .setFullPage(true)
                .setPath(FOLDER.resolve("%s-%s-%d.png".formatted(name, language.substring(0, 2), width))));
        Object overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assertThat(((Number) overflow).intValue()).as(path + " at " + width).isZero();
    }
}
