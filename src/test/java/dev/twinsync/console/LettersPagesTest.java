package dev.twinsync.console;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.microsoft.playwright.APIResponse;
import com.microsoft.playwright.Browser;
import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.assertions.LocatorAssertions;
import java.time.Duration;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The letters' pages, worked as a person works them. */
class LettersPagesTest extends Browsing {

    private void letters(String id, int count, int code) {
        for (int n = 1; n <= count; n++) {
            mini.refuse("order", id + n, code);
        }
        app.update(
                "insert into orders (order_id, user_id, status, payment_amount) select ? || n, 'u', 'paid', 1 from generate_series(1, ?) n",
                id,
                count);
        await().atMost(Duration.ofSeconds(30))
                .until(() -> app.queryForObject(
                                "select count(*) from sync.dead_letter where record_id like ? and state = 'open'",
                                Integer.class,
                                id + "%")
                        == count);
    }

    private long letter(String key) {
        return app.queryForObject(
                "select id from sync.dead_letter where record_id = ? and state = 'open'", Long.class, key);
    }

    @Test
    void aCauseIsOpenedNotedAndItsLettersAreRetriedAndEndWell() {
        letters("pages-a", 4, 441);
        Page page = as("operator");
        page.navigate(home + "/console/letters");
        assertThat(page.locator("h1")).hasText("Letters");
        page.locator("tbody tr", new Page.LocatorOptions().setHasText("441"))
                .locator("th a")
                .click();
        assertThat(page.locator("tbody tr")).hasCount(4);
        page.getByText("State and note").click();
        page.locator("#state").selectOption("acknowledged");
        page.locator("#note").fill("<b>asked the shop</b> 🐼");
        page.getByText("Save").click();
        assertThat(page.locator(".flash")).containsText("Saved");
        assertThat(page.locator("section.card").first()).containsText("<b>asked the shop</b> 🐼");

        for (int n = 1; n <= 4; n++) {
            mini.allow("order", "pages-a" + n);
        }
        page.getByText("Retry all of these").click();
        assertThat(page.locator(".big")).containsText("4 letters");
        page.locator("main button.primary").click();
        assertThat(page).hasURL(Pattern.compile(".*/retries/\\d+"));
        assertThat(page.locator("#progress .chip"))
                .hasText("done", new LocatorAssertions.HasTextOptions().setTimeout(30_000));
        assertThat(page.locator("#progress dl")).containsText("4");
        page.reload();
        assertThat(page.locator("tbody tr")).hasCount(4);
        assertThat(page.locator("tbody")).containsText("succeeded");
    }

    @Test
    void aLetterIsSeenWholeRetriedDiscardedAndBroughtBack() {
        letters("pages-b", 1, 442);
        long letter = letter("pages-b1");
        Page page = as("operator");
        page.navigate(home + "/console/letters/" + letter);
        assertThat(page.locator("h1")).containsText("pages-b1");
        assertThat(page.locator("main")).containsText("would be sent");
        assertThat(page.locator("main")).containsText("orders/deliver-mini-orders.camel.yaml");
        page.locator("details.act summary", new Page.LocatorOptions().setHasText("Discard"))
                .click();
        page.locator("#reason").fill("a test order");
        page.locator("button.danger").click();
        assertThat(page.locator(".title-row .chip").first()).hasText("discarded");
        page.getByText("Bring back").click();
        assertThat(page.locator(".title-row .chip").first()).hasText("open");
        mini.allow("order", "pages-b1");
        page.locator(".title-row button.primary").first().click();
        assertThat(page.locator(".flash")).containsText("being retried");
        await().atMost(Duration.ofSeconds(30)).untilAsserted(() -> {
            page.reload();
            assertThat(page.locator(".title-row .chip").first())
                    .hasText("resolved", new LocatorAssertions.HasTextOptions().setTimeout(500));
        });
        page.navigate(home + "/console/audit?target=" + letter);
        assertThat(page.locator("tbody")).containsText("discarded a letter");
        assertThat(page.locator("tbody")).containsText("retried a letter");
    }

    @Test
    void aLetterSaysWhoMendsItsCauseAndHow() {
        letters("pages-w", 1, 422);
        app.update("insert into users (user_id, nickname, phone) values ('pages-w2', '辛', '12345')");
        await().atMost(Duration.ofSeconds(30))
                .until(() -> app.queryForObject(
                                "select count(*) from sync.dead_letter where record_id = 'pages-w2' and state = 'open'",
                                Integer.class)
                        == 1);
        Page page = as("viewer");
        // the sandbox names the field that it refuses
        page.navigate(home + "/console/letters/" + letter("pages-w1"));
        assertThat(page.locator(".todo"))
                .containsText("whoever keeps this order at App; if the value is right, the team of Mini-program");
        assertThat(page.locator(".todo li")).hasCount(3);
        assertThat(page.locator(".todo li").first()).containsText("does not take this value of status");
        String unusable = home + "/console/letters/" + letter("pages-w2");
        page.navigate(unusable);
        assertThat(page.locator(".todo")).containsText("whoever keeps this user at App");
        assertThat(page.locator(".todo li").last()).containsText("phone in routes/users/");
        String group = app.queryForObject(
                "select failure_group from sync.dead_letter where record_id = 'pages-w2'", String.class);
        page.navigate(home + "/console/letters/list?group=" + group);
        assertThat(page.locator(".todo li").first()).containsText("holds a phone that can’t be used");
        Page chinese = as("viewer", new Browser.NewContextOptions().setLocale("zh-CN"));
        chinese.navigate(home + "/console/letters/" + letter("pages-w1"));
        assertThat(chinese.locator(".todo li").first()).containsText("小程序不接受 status 的这个值");
        // so does the record's page, in a line
        chinese.navigate(home + "/console/orders/pages-w1");
        assertThat(chinese.locator("section:has(#letters) tbody th")).containsText("对方系统拒绝了内容");
        page.navigate(home + "/console/orders/pages-w1");
        Locator row = page.locator("section:has(#letters) tbody tr");
        assertThat(row.locator("th")).containsText("The system refused the content");
        assertThat(row.locator(".chip")).hasText("open");
        row.locator("th a").click();
        assertThat(page.locator(".todo")).hasCount(1);
        // mended at its source, it goes without anybody's doing; its group may have others yet
        page.navigate(unusable);
        app.update("update users set phone = '13800100109', updated_at = clock_timestamp() where user_id = 'pages-w2'");
        await().atMost(Duration.ofSeconds(30)).until(() -> {
            page.reload();
            return page.locator(".todo").count() == 0;
        });
        mini.allow("order", "pages-w1");
    }

    @Test
    void whoeverChoosesNothingRetriesAndDiscardsNothing() {
        letters("pages-n", 2, 442);
        Page page = as("operator");
        for (String act : List.of("Retry the chosen", "Discard the chosen")) {
            page.navigate(home + "/console/letters/list?q=pages-n");
            // who bought what is refused is seen at a glance
            assertThat(page.locator("tbody a[href='/console/users/u']")).hasCount(2);
            page.getByText(act).click();
            assertThat(page.locator("main")).containsText("No letter was chosen");
        }
        page.navigate(home + "/console/letters/list?key=pages-n2");
        assertThat(page.locator("tbody tr")).hasCount(1);
        page.getByText("Retry all of these").click();
        assertThat(page.locator(".big")).containsText("1 letter would");
        assertThat(page.locator("form input[name=key]")).hasValue("pages-n2");
        page.navigate(home + "/console/letters/list?q=pages-n");
        page.locator("tbody input[type=checkbox]").first().check();
        page.getByText("Retry the chosen").click();
        assertThat(page.locator(".big")).containsText("1 letter would");
    }

    @Test
    void whatARetryHasSaysSoAndIsDiscardedKnowingly() {
        letters("pages-r", 3, 446);
        Page page = as("operator");
        page.navigate(home + "/console/letters/retry?q=pages-r");
        // a number beyond its bounds is told by its name, and what was written stays
        page.evaluate("document.querySelectorAll('main form').forEach(form => form.noValidate = true)");
        page.locator("#canary").fill("1.5");
        page.locator("#rate").fill("0");
        page.locator("#stop_at").fill("50");
        page.locator("main button.primary").click();
        assertThat(page.locator(".flash.bad"))
                .hasText("Letters a second: write a number from 0.01 to 10000."
                        + " Sent first: write a whole number from 0 to 10000.");
        assertThat(page.locator(".big")).containsText("3 letters");
        assertThat(page.locator("#stop_at")).hasValue("50");
        page.locator("#canary").fill("1");
        page.locator("#rate").fill("20");
        page.locator("main button.primary").click();
        assertThat(page.locator("#progress")).containsText("1, the others when all of these have succeeded");
        assertThat(page.locator("#progress dt:text-is('Letters a second') + dd"))
                .hasText("20");
        assertThat(page.locator("#progress")).containsText("50 %, else it pauses by itself");
        assertThat(page.locator("#progress .chip"))
                .hasText("paused", new LocatorAssertions.HasTextOptions().setTimeout(30_000));
        String retry = page.url();
        page.navigate(home + "/console");
        assertThat(page.locator(".troubles a[href$='" + retry.substring(home.length()) + "']"))
                .containsText("is paused");
        page.navigate(home + "/console/letters");
        assertThat(page.locator("p.note:has(a[href$='" + retry.substring(home.length()) + "'])"))
                .containsText("the canary failed again: 1 of 1");
        page.navigate(home + "/console/letters/list?q=pages-r");
        assertThat(page.locator("tbody a[href*='/retries/']")).hasCount(2);
        page.locator("tbody tr:has(a[href*='/retries/']) th a").first().click();
        assertThat(page.locator(".note.wait").first()).containsText("has not sent it yet");
        assertThat(page.locator(".note.wait .chip").first()).hasText("paused");
        assertThat(page.locator(".title-row button.primary")).hasCount(0);
        page.locator("details.act summary", new Page.LocatorOptions().setHasText("Discard"))
                .click();
        assertThat(page.locator("details.act[open]")).containsText("taken out of the retry");
        page.locator("#reason").fill("a test order");
        page.locator("button.danger").click();
        assertThat(page.locator(".title-row .chip").first()).hasText("discarded");
        page.navigate(home + "/console/letters/discard?q=pages-r");
        assertThat(page.locator(".big")).containsText("1 letter would");
        assertThat(page.locator(".note.wait")).containsText("1 more waits in a retry");
        page.locator("#reason").fill("test orders");
        page.getByText("Discard 1 letter", new Page.GetByTextOptions().setExact(true))
                .click();
        assertThat(page.locator(".flash")).containsText("1 stays: a retry has it");
        page.navigate(home + "/console/letters/discard?q=pages-r");
        page.locator("#reason").fill("test orders");
        page.getByText("Discard 1 letter, 1 out of a retry").click();
        assertThat(page.locator(".flash")).containsText("1 letter was discarded");
        page.navigate(retry);
        assertThat(page.locator("#progress .chip")).hasText("done");
        assertThat(page.locator("tbody")).containsText("skipped");
    }

    @Test
    void anEditThatCantBeUsedIsToldAndNothingIsSent() {
        letters("pages-c", 1, 443);
        Page page = as("operator");
        page.navigate(home + "/console/letters/" + letter("pages-c1"));
        page.locator("details.act summary", new Page.LocatorOptions().setHasText("Edit and retry"))
                .click();
        page.locator("#patch").fill("{\"payment_amount\": \"much\"}");
        page.locator("#why").fill("a wrong amount");
        page.locator("details[open] button.primary").click();
        assertThat(page.locator(".flash.bad")).containsText("/payment_amount");
        mini.allow("order", "pages-c1");
    }

    @Test
    void aViewerSeesAndMayNotAct() {
        letters("pages-d", 1, 444);
        long letter = letter("pages-d1");
        Page page = as("viewer");
        page.navigate(home + "/console/letters/" + letter);
        assertThat(page.locator("h1")).containsText("pages-d1");
        assertThat(page.locator(".title-row .acts")).hasCount(0);
        for (String path : List.of("/" + letter + "/retry", "/" + letter + "/discard", "/retries")) {
            APIResponse answer = page.request().post(home + "/console/letters" + path);
            assertThat(answer.status()).isEqualTo(403);
        }
        mini.allow("order", "pages-d1");
    }

    @Test
    void everyPageSpeaksChineseAndFitsAPhone() {
        letters("pages-e", 1, 445);
        long letter = letter("pages-e1");
        Page page = as(
                "operator", new Browser.NewContextOptions().setLocale("zh-CN").setViewportSize(390, 844));
        for (String path :
                List.of("", "/list?state=open&sort=oldest", "/" + letter, "/retry?ids=" + letter, "/retries")) {
            page.navigate(home + "/console/letters" + path);
            assertThat(page.locator("html")).hasAttribute("lang", "zh-CN");
            Object wide = page.evaluate("document.documentElement.scrollWidth - innerWidth");
            assertThat(((Number) wide).intValue()).as(path).isLessThanOrEqualTo(1);
        }
        page.navigate(home + "/console/letters/list?sort=oldest");
        assertThat(page.locator("select[name=sort]")).hasValue("oldest");
        page.navigate(home + "/console/letters/" + letter);
        assertThat(page.locator("main")).containsText("现在重试");
        mini.allow("order", "pages-e1");
    }
}
