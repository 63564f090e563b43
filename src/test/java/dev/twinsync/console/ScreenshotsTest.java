package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import com.microsoft.playwright.Browser;
import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.Response;
import com.microsoft.playwright.assertions.LocatorAssertions;
import com.microsoft.playwright.assertions.LocatorAssertions.ContainsTextOptions;
import com.microsoft.playwright.assertions.LocatorAssertions.HasCountOptions;
import com.microsoft.playwright.options.ColorScheme;
import com.microsoft.playwright.options.ScreenshotCaret;
import dev.twinsync.verification.Verifications;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Every page in both languages and at two widths, in target/screenshots, for somebody to look at. */
@Tag("proof")
class ScreenshotsTest extends Browsing {

    private static final Path FOLDER = Path.of("target/screenshots");

    /** Letters of several causes, a retry that has ended and one that paused itself. */
    private void letters() {
        int[] codes = {400, 413, 422, 451};
        for (int n = 0; n < 12; n++) {
            mini.refuse("order", "81000" + n, codes[n % codes.length]);
        }
        app.update("""
                insert into orders (order_id, user_id, status, payment_amount)
                select '81000' || n, '123456', 'paid', 10 + n from generate_series(0, 11) n on conflict do nothing""");
        app.update(
                "insert into users (user_id, nickname, phone) values ('200009', '陈一鸣', '12345') on conflict do nothing");
        Awaitility.await()
                .atMost(Duration.ofSeconds(60))
                .until(() -> app.queryForObject(
                                "select count(*) from sync.dead_letter where state = 'open' and record_id like '81000%'",
                                Integer.class)
                        == 12);
        Page page = as("operator");
        page.navigate(home + "/console/letters/retry?q=81000");
        page.locator("#reason").fill("the shop has been opened again");
        page.locator("main button.primary").click();
        assertThat(page.locator("#progress .chip"))
                .hasText("paused", new LocatorAssertions.HasTextOptions().setTimeout(30_000));
        page.navigate(home + "/console/letters");
        page.locator("tbody tr", new Page.LocatorOptions().setHasText("451"))
                .locator("th a")
                .click();
        page.getByText("State and note").click();
        page.locator("#state").selectOption("acknowledged");
        page.locator("#note").fill("asked the partner on Tuesday, T-42");
        page.getByText("Save").click();
        page.navigate(home + "/console/flows");
        Locator flow = page.locator("#sweep-app-users");
        flow.locator("summary").first().click();
        flow.locator("details[open] [name=reason]").fill("their list is being rebuilt until ten");
        flow.locator("details[open] button").click();
    }

    private Map<String, String> pages() {
        long letter = app.queryForObject(
                "select id from sync.dead_letter where record_id = '800042' order by id desc limit 1", Long.class);
        long operation = app.queryForObject("select max(id) from sync.retry_operation", Long.class);
        String group = app.queryForObject(
                "select failure_group from sync.dead_letter where record_id = '810003'", String.class);
        Map<String, String> pages = new LinkedHashMap<>();
        pages.put("overview", "/console");
        pages.put("letters", "/console/letters");
        pages.put("letters-list", "/console/letters/list");
        pages.put("letters-group", "/console/letters/list?group=" + group);
        pages.put("letter", "/console/letters/" + letter);
        pages.put("letters-retry", "/console/letters/retry?q=81000");
        pages.put("letters-discard", "/console/letters/discard?q=81000");
        pages.put("retries", "/console/letters/retries");
        pages.put("retry", "/console/letters/retries/" + operation);
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

    /** Pages with the form of an act open: the act, by its first element. */
    private Map<String, String> opened() {
        Map<String, String> opened = new LinkedHashMap<>();
        String letter = pages().get("letter");
        opened.put(letter, ".title-row details.act:nth-of-type(1)");
        opened.put("/console/flows", "#capture + .scroll details.act");
        opened.put("/console/users/123456", ".title-row details.act");
        opened.put("/console/verification", ".title-row details.act");
        opened.put("/console/conflicts", "tbody details.act");
        opened.put(pages().get("letters-group"), "section.card details.act");
        opened.put(pages().get("retry"), "#progress details.act");
        return opened;
    }

    private void opened(Page page, String path, String act, String language, int width) {
        page.navigate(home + path);
        page.locator(act + " > summary").first().click();
        picture(page, "open" + path.replaceAll("[^a-z]+", "-"), path, language, width);
    }

    @Test
    void everyPageIsShownInBothLanguagesAndWidthsWithoutScrollingSideways() {
        Shots.fill(app, mini);
        letters();
        for (String language : new String[] {"en-GB", "zh-CN"}) {
            for (int width : new int[] {1280, 390}) {
                Page page = as("admin", options(language, width, ColorScheme.LIGHT));
                pages().forEach((name, path) -> shot(page, name, path, language, width));
                opened().forEach((path, act) -> opened(page, path, act, language, width));
                Page nobody = page(options(language, width, ColorScheme.LIGHT));
                shot(nobody, "login", "/login", language, width);
            }
        }
        Page dark = as("admin", options("en-GB", 1280, ColorScheme.DARK));
        pages().forEach((name, path) -> shot(dark, name, path, "en-dark", 1280));
        opened().forEach((path, act) -> opened(dark, path, act, "en-dark", 1280));
        Page start = as("operator");
        start.navigate(home + "/console/flows");
        Locator flow = start.locator("#sweep-app-users");
        flow.locator("summary").first().click();
        flow.locator("details[open] [name=reason]").fill("it is rebuilt");
        flow.locator("details[open] button").click();
    }

    /** The picture that the README begins with: a change that has just arrived, and the order that is refused. */
    @Test
    void bothEndsOnOneScreenAsTheReadmeShowsThem() {
        Shots.fill(app, mini);
        Page page = as("operator", options("en-GB", 1280, ColorScheme.LIGHT).setViewportSize(1280, 805));
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
        picture(page, name, path, language, width);
    }

    private void picture(Page page, String name, String path, String language, int width) {
        page.screenshot(new Page.ScreenshotOptions()
                .setCaret(ScreenshotCaret.INITIAL) // to hide it, Playwright would write a style into the page
                .setFullPage(true)
                .setPath(FOLDER.resolve("%s-%s-%d.png".formatted(name, language.replaceAll("-(GB|CN)", ""), width))));
        Object overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assertThat(((Number) overflow).intValue()).as(path + " at " + width).isZero();
        if (width < 600) {
            // on a telephone nothing lies beyond the edge of its box
            Object beyond = page.evaluate("""
                    [...document.querySelectorAll('.scroll')]
                      .filter(box => box.scrollWidth > box.clientWidth + 1).map(box => box.textContent.trim().slice(0, 60))""");
            assertThat((java.util.List<?>) beyond).as(path + " at " + width).isEmpty();
        }
    }
}
