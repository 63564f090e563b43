// What the pages do beyond links and forms. Every page works without it.
(function () {
  'use strict';

  // "/" goes to the search, as long as nobody is writing
  document.addEventListener('keydown', function (event) {
    var search = document.getElementById('q');
    var writing = event.target.closest('input, textarea, select, [contenteditable]');
    if (event.key === '/' && search && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });

  // on a telephone the navigation is longer than the screen
  var here = document.querySelector('nav [aria-current]');
  if (here && here.parentElement.scrollWidth > here.parentElement.clientWidth) {
    here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.clientWidth / 2 + here.offsetWidth / 2;
  }

  // times: the server writes UTC, the reader lives somewhere
  function two(n) {
    return String(n).padStart(2, '0');
  }
  function localTimes(root) {
    root.querySelectorAll('time[datetime]:not([data-local])').forEach(function (element) {
      var at = new Date(element.dateTime);
      if (isNaN(at)) {
        return;
      }
      element.dataset.local = '';
      if (!element.title) {
        element.title = element.dateTime;
      }
      if (!element.hasAttribute('data-ago')) {
        element.textContent = at.getFullYear() + '-' + two(at.getMonth() + 1) + '-' + two(at.getDate()) + ' '
          + two(at.getHours()) + ':' + two(at.getMinutes()) + ':' + two(at.getSeconds());
        // beside values of another zone, which one it is
        if (element.hasAttribute('data-zone')) {
          var ahead = -at.getTimezoneOffset();
          element.textContent += ' UTC' + (ahead < 0 ? '-' : '+') + two(Math.floor(Math.abs(ahead) / 60)) + ':'
            + two(Math.abs(ahead) % 60);
        }
      }
    });
  }
  localTimes(document);
  document.addEventListener('htmx:afterSwap', function () {
    localTimes(document);
  });

  // one box for all of a list
  document.querySelectorAll('[data-check-all]').forEach(function (all) {
    var form = all.closest('form');
    all.hidden = false;
    all.addEventListener('change', function () {
      form.querySelectorAll('tbody input[type=checkbox]').forEach(function (box) {
        box.checked = all.checked;
      });
    });
  });

  // light, dark, as the device; the server reads the cookie
  document.addEventListener('click', function (event) {
    if (!event.target.closest('[data-theme-switch]')) {
      return;
    }
    var root = document.documentElement;
    var dark = root.dataset.theme === 'dark'
      || root.dataset.theme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    document.cookie = 'twinsync-theme=' + root.dataset.theme + ';path=/;max-age=31536000;samesite=lax';
  });

  // an act is asked for once, and where it says so, confirmed
  document.addEventListener('submit', function (event) {
    var form = event.target;
    var question = (event.submitter && event.submitter.dataset.confirm) || form.dataset.confirm;
    if (question && !confirm(question)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    if (form.method === 'post' && !form.hasAttribute('hx-post')) {
      setTimeout(function () {
        form.querySelectorAll('button').forEach(function (button) {
          button.disabled = true;
        });
      });
    }
  }, true);
  addEventListener('pageshow', function () {
    document.querySelectorAll('form[method=post] button:disabled:not([data-off])').forEach(function (button) {
      button.disabled = false;
    });
  });

  // a page that refreshes itself leaves alone what somebody is at, and rests while nobody looks
  function busy(part) {
    return part.querySelector('details[open] form') || part.contains(document.activeElement)
      && document.activeElement.matches(':focus-visible');
  }
  document.addEventListener('htmx:beforeRequest', function (event) {
    var part = event.target;
    if (!/every/.test(part.getAttribute('hx-trigger') || '')) {
      return;
    }
    if (document.hidden || busy(part)) {
      event.preventDefault();
    }
  });
  document.addEventListener('htmx:beforeSwap', function (event) {
    // asked for before somebody began
    var asked = event.detail.requestConfig.elt;
    if (asked === event.detail.target && /every/.test(asked.getAttribute('hx-trigger') || '') && busy(asked)) {
      event.detail.shouldSwap = false;
    }
  });

  // what is to be copied
  document.addEventListener('click', function (event) {
    var button = event.target.closest('[data-copy]');
    if (button && navigator.clipboard) {
      navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent.trim());
    }
  });
})();
